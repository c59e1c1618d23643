"""Calls start_response a second time, with exc_info, before anything is sent."""
import sys


def application(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("changed my mind")
    except ValueError:
        start_response("503 Service Unavailable", [("X-Second", "2"), ("Content-Length", "4")], sys.exc_info())
    return [b"busy"]
