"""write() twice, then an iterable; between the two it waits for a fifo."""


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one,")
    with open(environ["QUERY_STRING"]) as fifo:
        fifo.read()
    write(b"two,")
    return [b"three"]
