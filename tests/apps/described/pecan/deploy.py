"""Pecan's way in: `deploy(file)`."""
from app import application_of


def deploy(file):
    with open(file) as description:
        return application_of(description.read())
