"""Writes to wsgi.errors in every way it has."""


def application(environ, start_response):
    errors = environ["wsgi.errors"]
    errors.write("by write: caf\xe9 \u20ac\n")
    errors.writelines(["by writelines 1\n", "by writelines 2\n"])
    print("by print", file=errors)
    errors.flush()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
