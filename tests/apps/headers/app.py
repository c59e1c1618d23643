"""Headers in order, one of them twice, none added by the application for the server's sake."""


def application(environ, start_response):
    start_response("418 I'm a teapot", [
        ("Content-Type", "text/plain"),
        ("Set-Cookie", "a=1"),
        ("X-lower-UPPER", "  kept  inside "),
        ("Set-Cookie", "b=2; Path=/"),
        ("Content-Length", "2"),
        ("X-Latin", "caf\xe9"),
    ])
    return [b"ok"]
