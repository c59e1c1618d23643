"""The rows: what is asked, over which link, by how many, against whom, and the ratio we set ourselves.

A row is one question with everything that could change the answer written down in it.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatch

# How the client reaches the server.
HTTP_KEEPALIVE = "http-keepalive"
HTTP_CLOSE = "http-close"
UWSGI_UNIX = "uwsgi-unix"
UWSGI_TCP = "uwsgi-tcp"
NGINX_UWSGI = "nginx-uwsgi"  # nginx, uwsgi_pass to a unix socket
NGINX_PROXY = "nginx-proxy"  # nginx, keep-alive proxy_pass to a unix socket

HTTP_PEERS = ("uwsgi", "bjoern", "fastwsgi", "granian", "gunicorn")
UWSGI_PEERS = ("uwsgi",)


@dataclass(frozen=True)
class Goal:
    """uwring's figure divided by the best of `against`: at least (`rps`) or at most (`cpu_us`, `p50_us`) `ratio`."""

    figure: str
    ratio: float
    against: tuple


@dataclass(frozen=True)
class Row:
    """One question."""

    name: str
    link: str
    connections: int
    servers: tuple
    app: str = "apps:hello"
    path: str = "/"
    # What a right answer is: checked before the load starts, and its size by the generator on every answer.
    body: bytes | None = b"Hello World\n"
    processes: int = 1
    threads: int = 1
    # Bytes of body each request brings; more than none makes it a POST.
    upload: int = 0
    pinned: bool = True
    needs: str | None = None
    goals: tuple = field(default_factory=tuple)

    @property
    def title(self):
        """For a heading."""
        place = "server and client on one core each" if self.pinned else "not pinned"
        count = "1 process" if self.processes == 1 else f"{self.processes} processes"
        if self.threads > 1:
            count += f" of {self.threads} threads"
        return f"{self.name}: {self.connections} connection{'s' * (self.connections > 1)}, {count}, {place}"


def _goals(**ratios):
    """`rps=(1.15, peers)` and so on."""
    return tuple(Goal(figure, ratio, tuple(against)) for figure, (ratio, against) in ratios.items())


def _http_rows():
    fast = ("bjoern", "fastwsgi")
    native = ("bjoern", "uwsgi")
    keepalive = _goals(rps=(1.15, fast), cpu_us=(0.9, fast))
    yield Row("http-keepalive-64", HTTP_KEEPALIVE, 64, HTTP_PEERS, goals=keepalive)
    yield Row("http-keepalive-64-free", HTTP_KEEPALIVE, 64, HTTP_PEERS, pinned=False, goals=keepalive)
    yield Row("http-keepalive-256", HTTP_KEEPALIVE, 256, HTTP_PEERS, goals=keepalive)
    yield Row("http-keepalive-64-free-p2", HTTP_KEEPALIVE, 64, HTTP_PEERS, pinned=False, processes=2)
    yield Row("http-keepalive-4", HTTP_KEEPALIVE, 4, HTTP_PEERS)
    yield Row("http-keepalive-1", HTTP_KEEPALIVE, 1, HTTP_PEERS, goals=_goals(p50_us=(1.0, native)))
    yield Row("http-close-64", HTTP_CLOSE, 64, HTTP_PEERS, goals=_goals(cpu_us=(0.9, native)))


def _uwsgi_rows():
    faster = _goals(rps=(1.15, UWSGI_PEERS))
    pinned = _goals(rps=(1.15, UWSGI_PEERS), cpu_us=(0.85, UWSGI_PEERS))
    peers = ("uwsgi", "floor")
    yield Row("uwsgi-unix-64", UWSGI_UNIX, 64, peers, goals=pinned)
    yield Row("uwsgi-unix-64-free", UWSGI_UNIX, 64, peers, pinned=False, goals=faster)
    yield Row("uwsgi-unix-64-free-p2", UWSGI_UNIX, 64, UWSGI_PEERS, pinned=False, processes=2, goals=faster)
    yield Row("uwsgi-unix-1", UWSGI_UNIX, 1, peers, goals=_goals(p50_us=(1.0, UWSGI_PEERS)))
    yield Row("uwsgi-tcp-64", UWSGI_TCP, 64, peers, goals=faster)


def _nginx_rows():
    """Three parties need three cores. With fewer, nginx shares the client's; see placement.py."""
    passed = _goals(rps=(1.1, UWSGI_PEERS))
    # Two goals on one figure: against uWSGI, which is reached by uwsgi_pass here, and against bjoern.
    proxied = _goals(rps=(1.7, UWSGI_PEERS)) + _goals(rps=(1.0, ("bjoern",)))
    over_unix = ("uwsgi", "bjoern", "granian", "gunicorn")
    yield Row("nginx-uwsgi-64", NGINX_UWSGI, 64, UWSGI_PEERS, pinned=False, goals=passed)
    yield Row("nginx-uwsgi-256", NGINX_UWSGI, 256, UWSGI_PEERS, pinned=False, goals=passed)
    yield Row("nginx-proxy-64", NGINX_PROXY, 64, over_unix, pinned=False, goals=proxied)
    yield Row("nginx-proxy-256", NGINX_PROXY, 256, over_unix, pinned=False, goals=proxied)


def _framework_rows():
    best = _goals(rps=(1.05, HTTP_PEERS))
    views = (("flask", "app_flask:app", "/json"), ("django", "app_django:application", "/view"))
    for name, app, path in views:
        yield Row(
            f"{name}-64", HTTP_KEEPALIVE, 64, HTTP_PEERS, app=app, path=path, body=None, needs=name, goals=best
        )


def _thread_rows():
    """An application that sleeps 10 ms: what threads are for. uWSGI's keep-alive socket gives each connection a thread
    of its own for as long as it lasts, so it is asked over its own protocol."""
    for threads in (2, 64):
        common = {"app": "apps:sleep", "threads": threads}
        even = _goals(rps=(1.0, UWSGI_PEERS))
        yield Row(f"threads-{threads}-uwsgi", UWSGI_UNIX, 256, UWSGI_PEERS, goals=even, **common)
        even = _goals(rps=(1.0, ("granian",)))
        yield Row(f"threads-{threads}-http", HTTP_KEEPALIVE, 256, ("granian",), goals=even, **common)


def _blocking_rows():
    """One request in 20 holds its process up for 20 ms: who is behind it should be served by the other process."""
    common = {"app": "apps:block", "processes": 2, "pinned": False, "goals": _goals(rps=(1.0, UWSGI_PEERS))}
    for clients in (2, 8):
        yield Row(f"blocking-{clients}", UWSGI_UNIX, clients, UWSGI_PEERS, **common)


def _size_rows():
    """Bodies that are more than one packet, either way."""
    kilobyte, few = 1024, 16
    downloads = (("64k", 64 * kilobyte), ("1m", kilobyte * kilobyte))
    common = {"servers": HTTP_PEERS, "app": "apps:app", "goals": _goals(rps=(1.0, HTTP_PEERS))}
    for name, size in downloads:
        yield Row(f"post-{name}", HTTP_KEEPALIVE, few, path="/echo", body=None, upload=size, **common)
    for name, size in downloads:
        body = (b"0123456789abcdef" * (size // 16))[:size]
        yield Row(f"get-{name}", HTTP_KEEPALIVE, few, path=f"/{name}", body=body, **common)
    yield Row("chunks-10", HTTP_KEEPALIVE, few, path="/chunks", body=None, **common)
    yield Row("file-10m", HTTP_KEEPALIVE, few, path="/file", body=None, **common)


ROWS = (*_http_rows(), *_uwsgi_rows(), *_nginx_rows(), *_framework_rows(), *_thread_rows(),
        *_blocking_rows(), *_size_rows())  # fmt: skip

# One row of each kind, for a look in under three minutes.
QUICK = ("http-keepalive-64", "http-keepalive-1", "http-close-64", "uwsgi-unix-64", "uwsgi-unix-1", "uwsgi-tcp-64",
         "nginx-uwsgi-64", "nginx-proxy-64", "flask-64")  # fmt: skip


def choose(patterns):
    """The rows that match any of the shell patterns, in the order of the table; a pattern without a row is refused."""
    for pattern in patterns:
        if not any(fnmatch(row.name, pattern) for row in ROWS):
            raise ValueError(f"{pattern}: no such row; --list shows them")
    return [row for row in ROWS if any(fnmatch(row.name, pattern) for pattern in patterns)]
