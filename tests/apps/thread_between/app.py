"""Starts a thread that reads the fifo of the query and says so in the log, when no request is there any more."""
import sys
import threading


def wait(fifo):
    with open(fifo) as file:
        file.read()
    print("the thread ran on", file=sys.stderr, flush=True)


def application(environ, start_response):
    threading.Thread(target=wait, args=(environ["QUERY_STRING"],), daemon=True).start()
    start_response("200 OK", [("Content-Length", "7")])
    return [b"started"]
