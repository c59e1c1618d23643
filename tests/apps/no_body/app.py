"""Answers with a status from the query and a body that some answers must not have."""


def application(environ, start_response):
    headers = [("Content-Type", "text/plain")]
    if environ["PATH_INFO"] == "/length":
        headers.append(("Content-Length", "4"))
    start_response(environ["QUERY_STRING"].replace("+", " ") or "200 OK", headers)
    return [b"body"]
