"""JSON, a template, a download and a streaming response."""
import os

from flask import Flask, Response, abort, jsonify, render_template, request, send_file

app = Flask(__name__)
FOLDER = os.path.dirname(os.path.abspath(__file__))


@app.get("/")
def index():
    return render_template("index.html", name=request.args.get("name", "world"), prefix=request.script_root)


@app.route("/api/echo", methods=["GET", "POST"])
def echo():
    return jsonify(method=request.method, args=request.args, json=request.get_json(silent=True), url=request.url)


@app.get("/download")
def download():
    """This very file, with Range and If-None-Match as Werkzeug does them."""
    return send_file(os.path.join(FOLDER, "app.py"), as_attachment=True, download_name="app.txt", conditional=True)


@app.get("/count/<int:n>")
def count(n):
    if n > 1_000_000:
        abort(400)
    return Response(("%d\n" % i for i in range(n)), mimetype="text/plain")


@app.post("/size")
def size():
    """Counts a body of any length without keeping it."""
    total = 0
    while chunk := request.stream.read(65536):
        total += len(chunk)
    return jsonify(bytes=total)
