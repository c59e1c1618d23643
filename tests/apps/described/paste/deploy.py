"""PasteDeploy's way in, as far as a server knows it: `loadapp("config:/absolute/path")`."""
import configparser
import os

from app import application_of


def loadapp(uri, name=None):
    scheme, path = uri.split(":", 1)
    assert scheme == "config" and os.path.isabs(path), uri
    config = configparser.RawConfigParser()
    assert config.read(path), path
    return application_of(config["app:main"]["says"])
