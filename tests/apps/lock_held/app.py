"""With a query: takes the lock, says so and waits at that fifo. Without: takes the lock and gives it back."""
import os
import sys
import uwsgi


def application(environ, start_response):
    uwsgi.lock()
    if environ["QUERY_STRING"]:
        print("locked by", os.getpid(), file=sys.stderr, flush=True)
        open(environ["QUERY_STRING"]).read()
    uwsgi.unlock()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
