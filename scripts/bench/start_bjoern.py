"""Starts bjoern as its README does: listen, fork for more processes, run.

usage: start_bjoern.py MODULE:CALLABLE unix:PATH|HOST:PORT PROCESSES
"""

import importlib
import os
import sys

import bjoern


def main(spec, address, processes):
    """Never returns: bjoern's loop is the process."""
    module, name = spec.split(":")
    application = getattr(importlib.import_module(module), name)
    if address.startswith("unix:"):
        bjoern.listen(application, address)
    else:
        host, port = address.rsplit(":", 1)
        bjoern.listen(application, host, int(port))
    for _ in range(int(processes) - 1):
        if os.fork() == 0:
            break
    bjoern.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
