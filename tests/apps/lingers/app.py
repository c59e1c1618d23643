"""Waits for the fifo named by the query: before it answers or, for /close, in its answer's close()."""
import sys
import time


class Body:
    def __init__(self, gate):
        self.gate = gate

    def __iter__(self):
        return iter([b"done"])

    def close(self):
        wait(self.gate)


def application(environ, start_response):
    gate = environ["QUERY_STRING"]
    if environ["PATH_INFO"] == "/close":
        # Like a short request of a real application.
        begun = time.perf_counter()
        while time.perf_counter() - begun < 100e-6:
            pass
    elif gate:
        wait(gate)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return Body(gate) if environ["PATH_INFO"] == "/close" else [b"done"]


def wait(gate):
    print("waiting at", gate, file=sys.stderr, flush=True)
    with open(gate) as fifo:
        fifo.read()
