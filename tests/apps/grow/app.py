"""Keeps a few megabytes more with every request, and answers with its pid."""
import os

kept = []


def application(environ, start_response):
    kept.append(os.urandom(4 * 1024 * 1024))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
