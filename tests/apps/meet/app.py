"""Answers only when another request meets it at a fifo: `?fifo=…&side=r` and `…&side=w`."""
from urllib.parse import parse_qs
import os


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    with open(query["fifo"][0], query["side"][0]) as fifo:
        fifo.read() if query["side"] == ["r"] else fifo.write("met")
    answer = ("%s met in %d" % (query["side"][0], os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
