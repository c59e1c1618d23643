"""Writes into the log what it is asked to."""

import logging
import sys


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/long":
        print("<" + "x" * 300_000 + ">", flush=True)
    elif path == "/bytes":
        # As a C library would write it, whatever it is.
        sys.stdout.flush()
        sys.stdout.buffer.write(environ["wsgi.input"].read() + b"\n")
        sys.stdout.buffer.flush()
    elif path == "/raise":
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError('"outer"\n\\') from error
    elif path == "/exception":
        try:
            raise KeyError("logged")
        except KeyError:
            logging.exception('it "failed"')
    elif path.startswith("/say/"):
        print(path[5:], flush=True)
    elif path.startswith("/many/"):
        for n in range(int(path[6:])):
            sys.stderr.write(f"line {n} {'y' * 200}\n")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
