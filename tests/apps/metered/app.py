"""Does to uwsgi's metrics what the path says: /metric_inc/orders/3 answers the result."""
import uwsgi

# Before there are workers.
uwsgi.metric_inc("imported")


def application(environ, start_response):
    function, name, *numbers = environ["PATH_INFO"].strip("/").split("/")
    body = repr(getattr(uwsgi, function)(name, *map(int, numbers))).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
