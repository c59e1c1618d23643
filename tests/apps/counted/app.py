"""Counts with prometheus_client, which knows nothing of other processes."""
import gc
from urllib.parse import parse_qs

from prometheus_client import Counter, Gauge, Histogram, generate_latest

SALES = Counter("shop_sales", "What was sold.", ["what"])
PRICES = Histogram("shop_price", "For how much.", buckets=(1, 10))
PEAK = Gauge("shop_peak", "The most at once.", multiprocess_mode="max")
OPEN = Gauge("shop_open", "Doors open now.", multiprocess_mode="livesum")
SEEN = Gauge("shop_seen", "By each worker.")
# A name that the server has.
Counter("http_server_requests", "Not the server's.").inc(1e6)
SALES.labels("imported").inc(7)


def application(environ, start_response):
    asked = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    SALES.labels('a "b"\\').inc()
    PRICES.observe(2.5)
    SEEN.inc()
    if "collect" in asked:
        gc.collect()
    if "peak" in asked:
        PEAK.set(float(asked["peak"][0]))
        OPEN.inc()
    body = generate_latest() if "own" in asked else b"sold"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
