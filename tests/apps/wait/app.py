"""Says in the log that it has begun, waits for the fifo named by the query, then answers with its pid."""
import os
import sys


def application(environ, start_response):
    if environ["QUERY_STRING"]:
        print("waiting at", environ["QUERY_STRING"], file=sys.stderr, flush=True)
        with open(environ["QUERY_STRING"], "rb", buffering=0) as fifo:
            fifo.read(1)
    answer = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
