"""Answers with the status that the path is; /raise raises."""


def application(environ, start_response):
    start_response(environ["PATH_INFO"][1:] + " As Asked", [("Content-Length", "2")])
    return [b"ok"]
