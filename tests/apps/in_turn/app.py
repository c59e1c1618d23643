"""Says what it was asked, so that no answer can be taken for another; sleeps so many seconds where the path says so."""
import time


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    path = environ["PATH_INFO"]
    if path.startswith("/sleep/"):
        time.sleep(float(path.rsplit("/", 1)[1]))
    said = f"{environ['REQUEST_METHOD']} {path} {environ.get('REMOTE_ADDR')} {len(body)} {sum(body)}"
    answer = said.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
