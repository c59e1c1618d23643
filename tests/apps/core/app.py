"""What every interpreter must do the same: answer, stream, fail, be late, use threads, be stuck."""
import sys
import threading
import time

HERE = threading.Barrier(2)
ARRIVED = []


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise RuntimeError("on purpose")
    if path == "/late":
        while True:
            time.sleep(0.01)
    if path == "/parallel":
        # Nobody gives way here, so two that wait for each other end only where both run at once.
        sys.setswitchinterval(1000)
        ARRIVED.append(path)
        while len(ARRIVED) < 2:
            pass
        # The server's own modules have not brought the global lock back.
        import uwsgi
        assert uwsgi.worker_id() == 1 and not sys._is_gil_enabled()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/stream":
        return (str(n).encode() for n in range(5))
    if path == "/echo":
        return [environ["wsgi.input"].read()]
    if path == "/both":
        # Two requests must be in here at once.
        HERE.wait(60)
        return [b"both"]
    return ["{} {}.{}".format(sys.executable, *sys.version_info[:2]).encode()]
