"""Sends a file of 300,000 bytes by wsgi.file_wrapper. The path says how: /whole, /offset, /length, /object, /head."""
import io
import os
import tempfile

CONTENT = bytes(range(250)) * 1200


class Loud:
    """A file that is none, and says when it is closed."""

    def __init__(self, errors):
        self.content = io.BytesIO(CONTENT)
        self.errors = errors

    def read(self, size=-1):
        return self.content.read(size)

    def close(self):
        print("file closed", file=self.errors, flush=True)


def application(environ, start_response):
    how = environ["PATH_INFO"]
    headers = [("Content-Type", "application/octet-stream")]
    if how == "/object":
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](Loud(environ["wsgi.errors"]), 10000)
    file = tempfile.TemporaryFile()
    file.write(CONTENT)
    file.seek(100000 if how in ("/offset", "/range") else 0)
    if how in ("/length", "/range"):
        headers.append(("Content-Length", "50000"))
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](file, 65536)
