"""Counts, traces and reports each request by prometheus_client, OpenTelemetry and sentry, set up at import as sites do."""
import os
import time

import sentry_sdk
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

sink = os.environ["SINK"]
# It may take longer than two seconds to send what is left, where the machine is busy.
sentry_sdk.init(f"http://key@{sink}/1", shutdown_timeout=60)
provider = TracerProvider()
exporter = OTLPSpanExporter(f"http://{sink}/v1/traces")
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
trace.set_tracer_provider(provider)
requests = Counter("requests", "All of them.")


def site(environ, start_response):
    query = environ["QUERY_STRING"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if query == "total":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return [generate_latest(registry)]
    requests.inc()
    trace.get_current_span().set_attribute("query", query)
    sentry_sdk.capture_message(query)
    if query == "late":
        time.sleep(60)
    return [str(os.getpid()).encode()]


application = SentryWsgiMiddleware(OpenTelemetryMiddleware(site))
