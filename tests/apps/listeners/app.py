"""Answers with what the kernel has noted about the sockets this process listens on, in the order they were made."""
import json
import os
import socket


def listeners():
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            copy = os.dup(int(name))
        except OSError:
            continue
        try:
            found = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            continue
        with found:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.family == socket.AF_INET:
                yield {
                    "address": found.getsockname(),
                    "keepalive": found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    "reuseaddr": found.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR),
                    "nodelay": found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                    "reuseport": found.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT),
                    "sndbuf": found.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
                    "rcvbuf": found.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
                    "freebind": found.getsockopt(socket.IPPROTO_IP, 15),
                    "fastopen": found.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN),
                }


def application(environ, start_response):
    body = json.dumps(list(listeners())).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
