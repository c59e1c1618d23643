"""Answers of several shapes, for what the server does to bodies on their way."""
import os

TEXT = b"the same words again and again, " * 64


def application(environ, start_response):
    path = environ["PATH_INFO"]
    fields = [("Content-Type", "text/plain")]
    if path == "/length":
        fields += [("Content-Length", str(len(TEXT))), ("ETag", '"strong"')]
    elif path == "/short":
        fields += [("Content-Length", str(len(TEXT) + 1))]
    elif path == "/encoded":
        fields += [("Content-Encoding", "br")]
    elif path == "/none":
        start_response("204 No Content", fields)
        return []
    start_response(environ["QUERY_STRING"].replace("+", " ") or "200 OK", fields)
    if path == "/pieces":
        return (TEXT[at:at + 100] for at in range(0, len(TEXT), 100))
    if path == "/large":
        return [TEXT * 1000]
    if path == "/file":
        with open(os.path.join(os.path.dirname(__file__), "words"), "wb") as words:
            words.write(TEXT)
        return environ["wsgi.file_wrapper"](open(words.name, "rb"))
    if path == "/counted":
        application.calls += 1
        return [b"call %d" % application.calls]
    return [TEXT]


application.calls = 0
