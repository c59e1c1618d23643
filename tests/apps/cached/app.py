"""Calls functions of `uwsgi`: the body is a list of `[name, arguments…]` as JSON, the answer the list of results."""
import json
import os

import uwsgi


def shown(value):
    if isinstance(value, bytes):
        return value.decode()
    return [shown(each) for each in value] if isinstance(value, list) else value


def called(name, *arguments):
    try:
        return shown(getattr(uwsgi, name)(*arguments))
    except Exception as error:
        return type(error).__name__


uwsgi.cache_set("imported", "yes")


def application(environ, start_response):
    if environ["PATH_INFO"].startswith("/page"):
        made = uwsgi.cache_inc("made", 1, 0, "counts") and uwsgi.cache_num("made", "counts")
        start_response(environ.get("HTTP_X_STATUS", "200 OK"), [("Content-Type", "text/plain")])
        return [b"page ", b"%d" % made]
    results = [called(*call) for call in json.loads(environ["wsgi.input"].read())]
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Worker", str(os.getpid()))])
    return [json.dumps(results).encode()]
