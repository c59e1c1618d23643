"""Uses the server's own uwsgidecorators, and compares its types with the module."""
import ast
import json
import os
import threading

import uwsgi
import uwsgidecorators
from uwsgidecorators import cron, filemon, harakiri, lock, postfork, rbtimer, signal, thread, timer


@postfork
def in_all():
    print("postfork of all in", uwsgi.worker_id(), flush=True)


@postfork(2)
def in_one():
    print("postfork of 2 in", uwsgi.worker_id(), flush=True)


@timer(1, target="workers")
def tick(number):
    print("ticked in", uwsgi.worker_id(), flush=True)


@rbtimer(3600, iterations=2)
@cron(59, 3, -1, -1, -1)
@filemon(".")
@signal(200)
def others(number):
    pass


def mules():
    try:
        signal(201, target="mules")(others)
    except ValueError as error:
        return "no mules" if "needs a mule" in str(error) else str(error)


@lock
def locked():
    return uwsgi.is_locked()


@harakiri(30)
def works():
    done, where = threading.Event(), []

    @thread
    def elsewhere(main):
        where.append("done elsewhere" if threading.current_thread() is not main else "done here")
        done.set()

    elsewhere(threading.current_thread())
    done.wait(30)
    return where[0]


def refused():
    try:
        from uwsgidecorators import spool
    except ImportError as error:
        return str(error)
    return repr(spool)


def types():
    with open(os.environ["STUBS"]) as file:
        body = ast.parse(file.read()).body
    named = {node.target.id for node in body if isinstance(node, ast.AnnAssign)}
    named |= {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    # What an application may set, and what is there during a request only.
    named -= {"post_fork_hook", "after_req_hook", "atexit", "env"}
    public = {name for name in named if not name.startswith("_")}
    there = {name for name in dir(uwsgi) if not name.startswith("_")} - {"post_fork_hook"}
    return {"only in the types": sorted(public - there), "only in the module": sorted(there - public)}


def application(environ, start_response):
    if environ["PATH_INFO"] == "/types":
        answer = types()
    else:
        module = uwsgidecorators.postfork.__code__.co_filename.split("/")[0]
        answer = {
            "module": module,
            "locked": [locked(), uwsgi.is_locked()],
            "thread": works(),
            "spool": refused(),
            "mules": mules(),
        }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
