"""Shows what `import uwsgi` says, as JSON."""
import json
import os
import uwsgi


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def application(environ, start_response):
    uwsgi.log("said by uwsgi.log")
    uwsgi.set_logvar("colour", "green")
    shown = {
        "worker_id": uwsgi.worker_id(),
        "pid": os.getpid(),
        "mypid": uwsgi.mypid() if hasattr(uwsgi, "mypid") else None,
        "masterpid": uwsgi.masterpid(),
        "numproc": uwsgi.numproc,
        "opt": {key: text(value) for key, value in uwsgi.opt.items()},
        "version": text(uwsgi.version),
        "version_info": [text(part) for part in uwsgi.version_info],
        "request_id": uwsgi.request_id(),
        "workers": [{key: text(value) for key, value in worker.items() if key != "apps"} for worker in uwsgi.workers()],
        "sockets": uwsgi.sockets,
        "is_a_reload": uwsgi.is_a_reload,
        "pidfile": text(getattr(uwsgi, "pidfile", None)),
        "types": {name: type(getattr(uwsgi, name)).__name__ for name in ("version", "opt", "numproc", "hostname")},
        "opt_types": sorted({type(value).__name__ for value in uwsgi.opt.values()}),
    }
    body = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
