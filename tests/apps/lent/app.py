"""Answers with bytes whose end is logged."""

SIZE = 900 * 1024


class Told(bytes):
    def __del__(self):
        print("given back", flush=True)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    if path == "/":
        return [b"free"]
    seed = int(path[1:])
    return [Told(bytes((seed + n) % 251 for n in range(251)) * (SIZE // 251 + 1))]
