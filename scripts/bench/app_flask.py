"""A Flask application with one JSON view, as small services have it."""

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/json")
def numbers():
    """A handful of values through Flask's routing, request context and JSON."""
    return jsonify(message="Hello World", items=[1, 2, 3], ok=True)
