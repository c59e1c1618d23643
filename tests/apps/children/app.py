"""Starts children in the usual ways from within a request."""
import json
import multiprocessing
import subprocess
import sys


def application(environ, start_response):
    how = environ["QUERY_STRING"]
    if how == "subprocess":
        code = "import sys; print(sys.prefix != sys.base_prefix)"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
    elif how == "sockets":
        # Whatever is not closed on exec reaches the child.
        listed = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True).stdout
        result = [line for line in listed.splitlines() if "socket:" in line]
    else:
        # A builtin: a spawned child imports what it runs, and the module of a wsgi-file has no name to import.
        with multiprocessing.get_context(how).Pool(1) as pool:
            result = pool.apply(pow, (7, 2))
    body = json.dumps(result).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
