"""Handles signals, and sends those that it is asked for."""
import json
import os

import uwsgi


def say(number):
    print("signal", number, "in worker", uwsgi.worker_id(), flush=True)


def broken(number):
    raise ValueError("broken on purpose by %d" % number)


TARGETS = {1: "", 2: "workers", 3: "worker2", 5: "", 6: "", 7: "active-workers", 8: "", 9: "", 10: ""}
for number, target in TARGETS.items():
    uwsgi.register_signal(number, target, say)
uwsgi.register_signal(4, "", broken)
for worker in 1, 2:
    uwsgi.register_signal(20 + worker, "worker%d" % worker, say)
uwsgi.add_timer(5, 1)
uwsgi.add_rb_timer(6, 1, 1)
uwsgi.add_cron(7, -1, -1, -1, -1, -1)
uwsgi.add_file_monitor(8, os.environ["WATCHED"])


def application(environ, start_response):
    start_response("200 OK", [])
    path = environ["PATH_INFO"]
    if path == "/inside":
        uwsgi.signal(20 + uwsgi.worker_id())
        print("the request goes on in worker", uwsgi.worker_id(), flush=True)
    elif path == "/wait":
        uwsgi.signal(20 + uwsgi.worker_id())
        uwsgi.signal_wait(20 + uwsgi.worker_id())
        return [b"received %d" % (uwsgi.signal_received() - uwsgi.worker_id())]
    elif path == "/workers":
        return [json.dumps([{"signals": worker["signals"]} for worker in uwsgi.workers()]).encode()]
    elif path == "/registered":
        return [repr([uwsgi.signal_registered(n) for n in (1, 99)]).encode()]
    elif path.startswith("/send/"):
        uwsgi.signal(int(path[len("/send/"):]))
    return [b"done"]
