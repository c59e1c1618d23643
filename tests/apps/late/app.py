"""Takes its time, in the way that the path names; answers with its pid."""
import ctypes
import os
import signal
import sys
import threading
import time

import uwsgi


signal.signal(signal.SIGALRM, lambda *_: print("told by SIGALRM", file=sys.stderr, flush=True))


def sleep(seconds):
    time.sleep(seconds)


def loop(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def swallow(seconds):
    """Does not want to hear of it, twice."""
    end = time.monotonic() + seconds
    for _ in range(2):
        try:
            loop(end - time.monotonic())
        except BaseException as error:
            print("swallowed", type(error).__name__, file=sys.stderr, flush=True)
    loop(max(0, end - time.monotonic()))


def deaf(seconds):
    """Waits where no exception reaches it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            ctypes.CDLL(None).sleep(seconds)
        except BaseException:  # a signal ends the wait of the main thread
            pass


def hold(seconds):
    """Waits without letting go of the interpreter lock."""
    ctypes.PyDLL(None).sleep(seconds)
    ctypes.PyDLL(None).sleep(seconds)


def mine(seconds):
    uwsgi.set_user_harakiri(1)
    time.sleep(seconds)


def spared(seconds):
    uwsgi.set_user_harakiri(1)
    uwsgi.set_user_harakiri(0)
    time.sleep(seconds)


def body(start_response, seconds):
    start_response("200 OK", [("Content-Length", "10")])
    yield b"begun"
    time.sleep(seconds)
    yield b"ended"


def application(environ, start_response):
    what = environ["PATH_INFO"].strip("/")
    seconds = int(environ["QUERY_STRING"] or 0)
    if what == "body":
        return body(start_response, seconds)
    if what:
        globals()[what](seconds)
    answer = f"{os.getpid()} {threading.current_thread().name}".encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
