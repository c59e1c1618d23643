"""Waits for the fifo named by the query: before it answers or, for /close, in its answer's close(), or, for /pause, between two
pieces. Others answer piece by piece, /file from a file."""
import sys
import tempfile
import time

LARGE = bytes(range(250)) * 160
FILE = tempfile.NamedTemporaryFile()
FILE.write(LARGE)
FILE.flush()


class Body:
    def __init__(self, gate):
        self.gate = gate

    def __iter__(self):
        return iter([b"done"])

    def close(self):
        wait(self.gate)


def application(environ, start_response):
    gate, path = environ["QUERY_STRING"], environ["PATH_INFO"]
    if path == "/close":
        # Like a short request of a real application.
        begun = time.perf_counter()
        while time.perf_counter() - begun < 100e-6:
            pass
    elif gate and path != "/pause":
        wait(gate)
    if path in ("/pause", "/pieces"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces(gate)
    if path == "/file":
        start_response("200 OK", [("Content-Length", str(len(LARGE)))])
        return environ["wsgi.file_wrapper"](open(FILE.name, "rb"), 65536)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return Body(gate) if path == "/close" else [b"done"]


def pieces(gate):
    yield b"do"
    yield b"ne"
    if gate:
        wait(gate)
    yield LARGE
    yield b"end"


def wait(gate):
    print("waiting at", gate, file=sys.stderr, flush=True)
    with open(gate, "rb", buffering=0) as fifo:
        fifo.read(1)
