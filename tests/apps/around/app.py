"""Answers with what surrounds it: variables, folder, interpreter, modules, the stack of its thread."""
import ctypes
import json
import os
import sys

import uwsgi


def stack_bytes():
    """Of this thread: pthread_getattr_np(3)."""
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_ulong
    attributes = ctypes.create_string_buffer(256)
    libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), attributes)
    size = ctypes.c_size_t()
    libc.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    return size.value


def module(name):
    try:
        return repr(__import__(name).__name__)
    except ImportError:
        return None


def application(environ, start_response):
    body = json.dumps({
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "pid": os.getpid(),
        "worker": uwsgi.worker_id(),
        "executable": sys.executable,
        "site": "site" in sys.modules,
        "alias": module("alias_of_json"),
        "late_alias": module("late_alias"),
        "stack": stack_bytes(),
        "stdin": os.fstat(0).st_rdev,
        "vars": {key: value for key, value in environ.items() if isinstance(value, str)},
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
