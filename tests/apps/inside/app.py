"""Shows what a request could have changed around the application, and what it reads as its body."""
import json
import os
import sys


def application(environ, start_response):
    body = json.dumps({
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "path": sys.path,
        "spoilt": os.environ.get("SPOILT"),
        "logged": sys.stderr is not None and hasattr(environ["wsgi.errors"], "write"),
        "scheme": environ["wsgi.url_scheme"],
        "body": environ["wsgi.input"].read().decode("latin-1"),
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
