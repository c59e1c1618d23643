"""Announces a Content-Length and sends what the query says: `announced,sent`."""


def application(environ, start_response):
    announced, sent = environ["QUERY_STRING"].split(",")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", announced)])
    return [b"x" * int(sent)]
