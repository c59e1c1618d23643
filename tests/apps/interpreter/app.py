"""Where it runs: sys, os, and what other modules made of it; as JSON."""
import json
import os
import sys

import flask


def application(environ, start_response):
    body = json.dumps({
        "executable": sys.executable,
        "prefix": sys.prefix,
        "argv": sys.argv,
        "path": sys.path,
        "cwd": os.getcwd(),
        "colour": os.environ.get("COLOUR"),
        "gone": os.environ.get("GONE"),
        "flask": flask.__file__,
        "file": __file__,
        "name": __name__,
        "stdin": sys.stdin.read() if sys.stdin else "",
    }).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
