"""Returns bytes themselves instead of a list of them."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return b"not in a list"
