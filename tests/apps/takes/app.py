"""Takes what the path says: milliseconds of the processor, of time, or megabytes of memory. Answers with its pid."""
import os
import time


def cpu(ms):
    end = time.thread_time() + ms / 1000
    while time.thread_time() < end:
        pass


def rest(ms):
    time.sleep(ms / 1000)


def memory(megabytes):
    bytearray(os.urandom(1 << 20) * megabytes)


def application(environ, start_response):
    _, what, *n = environ["PATH_INFO"].split("/")
    if what:
        globals()[what](int(n[0]))
    answer = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
