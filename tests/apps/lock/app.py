"""Adds one to a number in a file under uwsgi.lock: a lost update shows a lock that is none."""
import os
import uwsgi

FILE = os.environ["COUNTER"]


def application(environ, start_response):
    for _ in range(200):
        uwsgi.lock()
        try:
            with open(FILE) as file:
                number = int(file.read())
            with open(FILE, "w") as file:
                file.write(str(number + 1))
        finally:
            uwsgi.unlock()
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
