"""Breaks the rules of WSGI in the way the path says."""


def application(environ, start_response):
    how = environ["PATH_INFO"]
    if how == "/raise":
        raise RuntimeError("before start_response")
    if how == "/no_start":
        return [b"orphan"]
    if how == "/status_bytes":
        start_response(b"200 OK", [])
    elif how == "/headers_tuple":
        start_response("200 OK", (("A", "b"),))
    elif how == "/value_int":
        start_response("200 OK", [("Content-Length", 2)])
    elif how == "/value_unicode":
        start_response("200 OK", [("X-Euro", "\u20ac")])
    else:
        start_response("200 OK", [("Content-Type", "text/plain")])
    if how == "/raise_late":
        raise RuntimeError("after start_response")
    if how == "/none":
        return None
    if how == "/text":
        return ["text"]
    return [b"fine"]
