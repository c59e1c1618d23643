"""Answers with its pid; /reload asks the server to reload."""
import os
import uwsgi


def application(environ, start_response):
    if environ["PATH_INFO"] == "/reload":
        uwsgi.reload()
    answer = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
