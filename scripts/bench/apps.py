"""The WSGI applications the servers are measured with; plain Python, so that the server is what is weighed.

`hello` is the bare call. `app` finds one of the others by its path, which costs about 0.1 µs a request.
"""

import itertools
import os
import tempfile
import time
from wsgiref.util import FileWrapper

GREETING = b"Hello World\n"
CHUNK = b"x" * 99 + b"\n"
CHUNKS = 10


def hello(environ, start_response):
    """The least an application can do."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [GREETING]


def echo(environ, start_response):
    """Reads the whole body and sends it back."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]


def sleep(environ, start_response):
    """An application that waits for something else: what threads are for."""
    time.sleep(0.01)
    return hello(environ, start_response)


TURN = itertools.cycle(range(20))


def block(environ, start_response):
    """One request in 20 waits 20 ms, in the thread that would serve the others: a slow query."""
    if next(TURN) == 0:
        time.sleep(0.02)
    return hello(environ, start_response)


def chunks(environ, start_response):
    """A generator of small pieces: shows servers that lose time to Nagle's algorithm and delayed ACK."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(CHUNKS * len(CHUNK)))])
    return (CHUNK for _ in range(CHUNKS))


def _constant(size):
    """An application that answers `size` bytes, made once."""
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]

    def answer(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
        return [data]

    return answer


FILE_BYTES = 10 * 1024 * 1024


def _file():
    """A file of 10 MiB without a name, so that it ends with its server however that ends, and an application that answers it
    by the server's own file wrapper."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(FILE_BYTES))
        file.flush()
        kept = os.dup(file.fileno())

    def answer(environ, start_response):
        headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(FILE_BYTES))]
        start_response("200 OK", headers)
        wrapper = environ.get("wsgi.file_wrapper", FileWrapper)
        return wrapper(open(f"/proc/self/fd/{kept}", "rb"), 65536)

    return answer


ROUTES = {
    "/": hello,
    "/echo": echo,
    "/sleep": sleep,
    "/chunks": chunks,
    "/64k": _constant(64 * 1024),
    "/1m": _constant(1024 * 1024),
    "/file": _file(),
}


def app(environ, start_response):
    """Chooses by path."""
    return ROUTES[environ["PATH_INFO"]](environ, start_response)
