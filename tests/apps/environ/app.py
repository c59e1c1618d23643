"""Answers with its environ as JSON. Bytes are shown as b'…', objects by their kind only."""
import json


def plain(value):
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, tuple):
        return list(value)
    return repr(value) if isinstance(value, bytes) else "<object>"


def application(environ, start_response):
    body = json.dumps({key: plain(value) for key, value in environ.items()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
