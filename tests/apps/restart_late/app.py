"""Calls start_response with exc_info after the head is sent, and says in the body what came of it."""
import sys


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"first,")
    try:
        raise ValueError("too late")
    except ValueError:
        try:
            start_response("500 Internal Server Error", [], sys.exc_info())
        except Exception:
            return [b"raised"]
    return [b"accepted"]
