"""Starts FastWSGI as its README does, with its own log off.

usage: start_fastwsgi.py MODULE:CALLABLE HOST:PORT PROCESSES
"""

import importlib
import sys

import fastwsgi


def main(spec, address, processes):
    """Never returns. More than one worker is FastWSGI's own fork."""
    module, name = spec.split(":")
    host, port = address.rsplit(":", 1)
    workers = int(processes) if int(processes) > 1 else None
    fastwsgi.run(
        wsgi_app=getattr(importlib.import_module(module), name), host=host, port=int(port), loglevel=0, workers=workers
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
