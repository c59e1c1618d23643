"""The application of scripts/soak: small and large answers, uploads, files, and one that raises."""
import hashlib
import os
import tempfile
import time

FILE = tempfile.NamedTemporaryFile(prefix="soak-")
FILE.write(os.urandom(1 << 20))
FILE.flush()


def application(environ, start_response):
    """Chooses by the path."""
    path = environ["PATH_INFO"]
    if path == "/error":
        raise RuntimeError("asked for")
    headers = [("Content-Type", "application/octet-stream")]
    if path == "/upload":
        digest, length = hashlib.md5(), 0
        while part := environ["wsgi.input"].read(65536):
            digest.update(part)
            length += len(part)
        body = [b"%d %s" % (length, digest.hexdigest().encode())]
    elif path == "/pieces":
        body = (b"x" * 1000 for _ in range(300))
    elif path == "/file":
        body = environ["wsgi.file_wrapper"](open(FILE.name, "rb"))
    elif path == "/large":
        body = [b"y" * 700_000]
    elif path == "/slow":
        time.sleep(0.02)
        body = [b"slow"]
    else:
        body = [b"Hello, world!"]
        headers.append(("Content-Length", "13"))
    start_response("200 OK", headers)
    return body
