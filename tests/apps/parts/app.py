"""A generator that waits for a fifo between its parts."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    yield b"one,"
    with open(environ["QUERY_STRING"]) as fifo:
        fifo.read()
    yield b"two"
