"""Prints to stdout and stderr, at import and in a request."""
import sys

print("printed at import")


def application(environ, start_response):
    print("printed to stdout")
    print("printed to stderr", file=sys.stderr)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
