"""Ten parts of 1,000 bytes and no Content-Length."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"%d" % i * 1000 for i in range(10))
