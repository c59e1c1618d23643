"""A little work, a thousand additions or so, and the pid."""
import os


def application(environ, start_response):
    sum(range(20000))
    answer = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
