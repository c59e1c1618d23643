"""A Django project in one file: a view through the middleware that `startproject` puts in (without a database)."""

import django
from django.conf import settings
from django.http import JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for benchmarks on loopback only",
)
django.setup()


def view(request):
    """The same answer as Flask's."""
    return JsonResponse({"message": "Hello World", "items": [1, 2, 3], "ok": True})


urlpatterns = [path("view", view)]

from django.core.wsgi import get_wsgi_application  # noqa: E402  (the settings must come first)

application = get_wsgi_application()
