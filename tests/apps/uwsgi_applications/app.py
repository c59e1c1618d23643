"""Two applications by `uwsgi.applications`, keyed by mountpoint."""
import uwsgi


def answer(text):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text]
    return application


uwsgi.applications = {b"/": answer(b"front"), b"/back": answer(b"back")}
