"""Starts a child, waits until it has ended, never asks for its status, and answers with its pid."""
import os
import subprocess

CHILDREN = []


def application(environ, start_response):
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    # Kept, or subprocess would ask in our place when it is called next.
    CHILDREN.append(child)
    answer = str(child.pid).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
