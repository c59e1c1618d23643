"""Keeps and marks every environ it was given: the next one must not show the mark."""

KEPT = []


def application(environ, start_response):
    answer = b"marked" if "test.mark" in environ else b"clean"
    environ["test.mark"] = "1"
    KEPT.append(environ)
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
