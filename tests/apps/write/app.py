"""write() twice, then an iterable; between the two it waits for a fifo."""


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one,")
    with open(environ["QUERY_STRING"], "rb", buffering=0) as fifo:
        fifo.read(1)
    write(b"two,")
    return [b"three"]
