"""Answers in the ways that a front end's protocol has to carry; the path says which."""
import hashlib
import tempfile

BIG = bytes(range(251)) * 12000


def pieces():
    for size in (1, 70000, 0, 5, 65535, 65536, 65528, 200000):
        yield b"p" * size


def application(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    if path == "/big":
        start_response("200 OK", text + [("Content-Length", str(len(BIG)))])
        return [BIG]
    if path == "/pieces":
        start_response("200 OK", text)
        return pieces()
    if path == "/file":
        file = tempfile.TemporaryFile()
        file.write(BIG)
        file.seek(0)
        start_response("200 OK", text)
        return environ["wsgi.file_wrapper"](file, 65536)
    if path == "/none":
        start_response("204 No Content", [("X-A", "b")])
        return []
    if path == "/fields":
        start_response("200 OK", [("X-%d" % n, "v" * 1000) for n in range(3)])
        return [b"fields"]
    if path == "/short":
        start_response("200 OK", text + [("Content-Length", "10")])
        return [b"short"]
    if path == "/unread":
        start_response("403 Forbidden", text)
        return [b"not read"]
    body = environ["wsgi.input"].read()
    names = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_LENGTH", "HTTP_X_NAME", "wsgi.url_scheme")
    lines = ["%s=%s" % (name, environ.get(name)) for name in names]
    lines.append("%d %s" % (len(body), hashlib.md5(body).hexdigest()))
    start_response("200 OK", text)
    return ["\n".join(lines).encode()]
