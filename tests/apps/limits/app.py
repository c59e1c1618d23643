"""Takes descriptors away, and gives much to read. Each call is said in the log."""
import os
import resource
import select
import sys
import tempfile
import threading

NOFILE = resource.RLIMIT_NOFILE
SIZE = 50_000_000


def lower(to, fifo):
    """No descriptors beyond `to` until somebody has opened the fifo and closed it again."""
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    soft, hard = resource.getrlimit(NOFILE)
    gate = select.poll()
    gate.register(fd, 0)

    def restore():
        gate.poll()
        resource.setrlimit(NOFILE, (soft, hard))
        os.close(fd)
        print("descriptors again", file=sys.stderr, flush=True)

    resource.setrlimit(NOFILE, (to or fd + 1, hard))
    threading.Thread(target=restore).start()


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    print("called", path, environ["REQUEST_METHOD"], file=sys.stderr, flush=True)
    body = [b"done"]
    if path == "/lower":
        lower(0, query)
    elif path == "/lower-far":
        lower(3, query)
    elif path == "/lower-file":
        file = tempfile.TemporaryFile()
        file.write(b"x" * 300_000)
        file.seek(0)
        lower(3, query)
        body = environ["wsgi.file_wrapper"](file)
    elif path == "/large":
        body = [b"x" * SIZE]
    elif path == "/large-file":
        file = tempfile.TemporaryFile()
        file.truncate(SIZE)
        body = environ["wsgi.file_wrapper"](file)
    elif path == "/page":
        body = [b"x" * 1_000_000]
    elif path == "/pieces":
        body = (b"%d," % n for n in range(10_000))
    elif path == "/length":
        body = [b"%d" % len(environ["wsgi.input"].read())]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body
