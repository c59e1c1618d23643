"""No `application`: a callable by another name, and a factory."""


def site(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"site"]


def create_app():
    def made(environ, start_response):
        start_response("200 OK", [("Content-Length", "4")])
        return [b"made"]
    return made
