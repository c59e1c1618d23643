"""Answers `METHOD URI BODY`, and `KEY=value` for each key that the query or X-Show names; the log hears it too."""
import sys


def application(environ, start_response):
    words = [environ["REQUEST_METHOD"], environ["REQUEST_URI"], environ["wsgi.input"].read().decode("latin-1")]
    for key in environ.get("QUERY_STRING", "").split("&") + [environ.get("HTTP_X_SHOW", "")]:
        if key.isupper():
            words.append("%s=%s" % (key, environ[key]) if key in environ else key + "?")
    text = " ".join(word for word in words if word)
    print("seen " + ascii(text), file=sys.stderr, flush=True)
    body = text.encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
