"""Stands for the servers that agents send to: says what came, a line each, on stderr; first its address."""
import gzip
import http.server
import json
import os

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def say(*words):
    """In one write: threads say things at the same time."""
    os.write(2, (" ".join(words) + "\n").encode())


class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        query = [a.value.string_value for a in span.attributes if a.key == "query"]
                        say("span", *query)
        else:
            for line in body.split(b"\n"):
                item = json.loads(line) if line.startswith(b"{") else {}
                if "message" in item:
                    say("event", item["message"])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
say("sink", "127.0.0.1:%d" % server.server_port)
server.serve_forever()
