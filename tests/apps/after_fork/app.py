"""What must work in a worker right after fork: its own random numbers, ssl, threads, signals, hooks of os."""
import json
import os
import random
import signal
import ssl
import threading

CHILDREN = []
os.register_at_fork(after_in_child=lambda: CHILDREN.append(os.getpid()))


def application(environ, start_response):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(threading.current_thread().name))
    thread.start()
    thread.join()
    signal_error = None
    if threading.current_thread() is threading.main_thread():
        try:
            signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        except ValueError as e:
            signal_error = str(e)
    body = json.dumps({
        "pid": os.getpid(),
        "random": random.random(),
        "ssl": len(ssl.RAND_bytes(16)),
        "thread": len(seen),
        "hook_ran_here": CHILDREN == [os.getpid()],
        "main_thread": threading.current_thread() is threading.main_thread(),
        "signal_error": signal_error,
        "ident_is_real": threading.get_ident() == threading.current_thread().ident,
    }).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
