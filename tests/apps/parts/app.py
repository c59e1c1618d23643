"""A generator that waits for a fifo between its parts."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    yield b"one,"
    with open(environ["QUERY_STRING"], "rb", buffering=0) as fifo:
        fifo.read(1)
    yield b"two"
