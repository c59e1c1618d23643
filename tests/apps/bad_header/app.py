"""Tries to send a header that no server should send; the path says which."""

HEADERS = {
    "/newline": ("X-A", "1\r\nX-Evil: 1"),
    "/lf": ("X-A", "1\nX-Evil: 1"),
    "/nul": ("X-A", "1\0"),
    "/name_newline": ("X-A\r\nX-Evil", "1"),
    "/name_blank": ("X A", "1"),
    "/name_colon": ("X-Evil: 1", "1"),
    "/name_empty": ("", "1"),
}


def application(environ, start_response):
    status = "200 OK\r\nX-Evil: 1" if environ["PATH_INFO"] == "/status" else "200 OK"
    header = HEADERS.get(environ["PATH_INFO"])
    start_response(status, [("Content-Length", "2")] + ([header] if header else []))
    return [b"ok"]
