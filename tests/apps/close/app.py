"""An iterable that logs its close(). The path says how it goes: /fine, /raise, /endless."""
import sys


class Body:
    def __init__(self, path):
        self.path = path
        self.parts = iter([b"a", b"b", b"c"])

    def __iter__(self):
        return self

    def __next__(self):
        if self.path == "/endless":
            return b"x" * 65536
        part = next(self.parts)
        if self.path == "/raise" and part == b"b":
            raise RuntimeError("in the middle")
        return part

    def close(self):
        print("closed", self.path, file=sys.stderr, flush=True)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body(environ["PATH_INFO"])
