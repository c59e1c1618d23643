"""Answers with what rules may have set: `?status=404 Not Found&Header=value` are its status and headers."""
from urllib.parse import parse_qsl

SHOWN = ["REQUEST_METHOD", "REQUEST_URI", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_USER", "REMOTE_ADDR",
         "wsgi.url_scheme", "DOCUMENT_ROOT", "X_VAR"]


def application(environ, start_response):
    wanted = dict(parse_qsl(environ["QUERY_STRING"]))
    status = wanted.pop("status", "200 OK")
    start_response(status, [("Content-Type", "text/plain"), ("X-App", "1"), *wanted.items()])
    return ["".join("%s=%s\n" % (key, environ[key]) for key in SHOWN if key in environ).encode()]
