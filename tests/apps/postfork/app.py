"""Counts its hooks: uwsgidecorators.postfork, and uwsgi.atexit."""
import os
import uwsgi
from uwsgidecorators import postfork

IMPORTED_IN = os.getpid()
FORKED_IN = []


@postfork
def forked():
    FORKED_IN.append(os.getpid())
    print("postfork in", os.getpid(), "worker", uwsgi.worker_id(), flush=True)


def leaving():
    print("atexit in", os.getpid(), flush=True)


uwsgi.atexit = leaving


def application(environ, start_response):
    answer = ("%d %d %s" % (IMPORTED_IN, os.getpid(), FORKED_IN)).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
