"""Takes io_uring away when it is imported: after the master has found it, before the workers want it."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import seccomp

seccomp.deny("EPERM", seccomp.NUMBERS)


def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
