"""Pages of the guestbook."""
from django.urls import path

from . import views

urlpatterns = [
    path("", views.book, name="book"),
    path("hello", views.hello, name="hello"),
    path("upload", views.upload, name="upload"),
    path("export.csv", views.export, name="export"),
]
