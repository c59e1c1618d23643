"""Starts children in the two usual ways from within a request."""
import json
import multiprocessing
import subprocess
import sys


def square(queue, number):
    queue.put(number * number)


def application(environ, start_response):
    how = environ["QUERY_STRING"]
    if how == "subprocess":
        code = "import sys; print(sys.prefix != sys.base_prefix)"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
    else:
        context = multiprocessing.get_context(how)
        queue = context.Queue()
        child = context.Process(target=square, args=(queue, 7))
        child.start()
        result = queue.get()
        child.join()
    body = json.dumps(result).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
