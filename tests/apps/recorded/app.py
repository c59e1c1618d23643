"""Does what the flight recorder is to tell: as the path says."""
import os
import signal
import time


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise ValueError("wanted")
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/sleep":
        time.sleep(60)
    if path == "/wait":
        with open(environ["QUERY_STRING"], "rb", buffering=0) as fifo:
            fifo.read(1)
    if path == "/large":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"x" * 65536 for _ in range(1024))
    environ["wsgi.input"].read()
    start_response("500 Broken" if path == "/500" else "200 OK", [("Content-Length", "2")])
    return [b"ok"]
