"""Reads the whole body in parts and answers its length and SHA-256."""
import hashlib


def application(environ, start_response):
    digest, length = hashlib.sha256(), 0
    while True:
        part = environ["wsgi.input"].read(65536)
        if not part:
            break
        digest.update(part)
        length += len(part)
    answer = ("%d %s" % (length, digest.hexdigest())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
