"""Does to wsgi.input what the query says, e.g. `read(3);readline()`, and shows the results."""
from urllib.parse import unquote


def application(environ, start_response):
    body = environ["wsgi.input"]
    results = []
    for call in unquote(environ["QUERY_STRING"]).split(";"):
        try:
            results.append(repr(eval("list(body)" if call == "iterate" else "body." + call, {"body": body})))
        except Exception as e:
            results.append(type(e).__name__)
    answer = "\n".join(results).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
