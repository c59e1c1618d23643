"""The standard library's validator around small applications, and around Flask's and Django's examples."""
import os
import sys
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def small(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/pieces":
        return iter([b"one", b"two"])
    if path == "/empty":
        return []
    if path == "/file":
        import io

        return environ.get("wsgi.file_wrapper", FileWrapper)(io.BytesIO(b"of a file"))
    if path == "/echo":
        source, length = environ["wsgi.input"], int(environ["CONTENT_LENGTH"])
        return [source.readline(), source.read(length)]
    environ["wsgi.errors"].write("written\n")
    environ["wsgi.errors"].flush()
    return [environ["REQUEST_METHOD"].encode()]


def flask():
    sys.path.insert(0, os.path.join(ROOT, "examples", "flask"))
    import app

    return app.app


def django():
    sys.path.insert(0, os.path.join(ROOT, "examples", "django"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


MAKE = {"/flask": flask, "/django": django}
MADE = {"": validator(small)}


def application(environ, start_response):
    name = next((name for name in MAKE if environ["PATH_INFO"].startswith(name + "/")), "")
    if name not in MADE:
        MADE[name] = validator(MAKE[name]())
    environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + name
    environ["PATH_INFO"] = environ["PATH_INFO"][len(name):]
    return MADE[name](environ, start_response)
