"""The servers: how each is started, as its own documentation recommends for speed, with no log line a request.

A `Launch` says everything about one start; the report prints it, so that a reader can do the same by hand.
"""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from rows import HTTP_CLOSE, HTTP_KEEPALIVE, NGINX_PROXY, NGINX_UWSGI, UWSGI_TCP, UWSGI_UNIX

HERE = Path(__file__).resolve().parent
HTTP_LINKS = {HTTP_KEEPALIVE, HTTP_CLOSE}
EVERY_LINK = HTTP_LINKS | {UWSGI_UNIX, UWSGI_TCP, NGINX_UWSGI, NGINX_PROXY}
# Enough for 256 connections at once; a server's default may be less (uWSGI's is 100).
BACKLOG = 1024


@dataclass(frozen=True)
class Launch:
    """One start of one server."""

    command: list
    address: str  # a path, or 127.0.0.1:PORT
    protocol: str  # what it speaks there: "http" or "uwsgi"
    note: str = ""
    env: dict = field(default_factory=dict)
    ini: str = ""


@dataclass(frozen=True)
class Site:
    """Where a start takes place: a throwaway folder, and a port nobody uses."""

    folder: Path
    port: int
    backlog: int

    @property
    def tcp(self):
        """The address over TCP."""
        return f"127.0.0.1:{self.port}"

    @property
    def path(self):
        """The unix socket."""
        return str(self.folder / "s")

    def for_link(self, link):
        """TCP or unix, as the link says."""
        return self.path if link in (UWSGI_UNIX, NGINX_UWSGI, NGINX_PROXY) else self.tcp


class Uwsgi:
    """uWSGI, from the virtual environment or else Debian's package."""

    name = "uwsgi"
    links = EVERY_LINK

    def __init__(self, peers):
        self.peers = peers
        built = peers.program("uwsgi")
        self.is_debian = not built.exists()
        self.program = shutil.which("uwsgi") if self.is_debian else str(built)

    def problem(self):
        """Why it can't run, or None."""
        return None if self.program else self.peers.problems.get("uwsgi", "uwsgi is not installed")

    def version(self):
        """For the report."""
        return "Debian's package" if self.is_debian else self.peers.version("uwsgi")

    def launch(self, row, site):
        """The keys uWSGI's "Things to know" page asks for; the socket by link."""
        key, protocol, note = UWSGI_SOCKETS[row.link]
        plugin = ["plugin = python3"] if self.is_debian else []
        # Behind nginx its own protocol is its best, also where others are proxied with keep-alive.
        address = site.for_link(row.link)
        ini = write_ini(row, site, [*plugin, f"home = {self.peers.folder}", f"{key} = {address}"])
        return Launch([self.program, "--ini", site.folder / "app.ini"], address, protocol, note, ini=ini)


UWSGI_SOCKETS = {
    HTTP_KEEPALIVE: ("http11-socket", "http", "http11-socket, its cheapest keep-alive: a process serves one "
                     "connection at a time and the others wait, so p50 and p99 are those of the served one"),
    HTTP_CLOSE: ("http-socket", "http", "its answer doesn't say Connection: close, so wrk uses the closed connection "
                 "once more: a read error a request, no lost answer"),
    UWSGI_UNIX: ("socket", "uwsgi", ""),
    UWSGI_TCP: ("socket", "uwsgi", ""),
    NGINX_UWSGI: ("socket", "uwsgi", ""),
    NGINX_PROXY: ("socket", "uwsgi", "by uwsgi_pass, its best behind nginx, since it keeps no connection alive"),
}  # fmt: skip


class Uwring:
    """This project's server: the same ini but for the plugin line, and http-socket wherever HTTP is spoken."""

    links = EVERY_LINK

    def __init__(self, peers, program, name="uwring"):
        self.peers = peers
        self.program = Path(program)
        self.name = name

    def problem(self):
        """Why it can't run, or None."""
        return None if self.program.exists() else f"{self.program} is not built: cargo build --release"

    def version(self):
        """For the report; the commit is in the machine's line."""
        done = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=False)
        return done.stdout.strip() or "of unknown version"

    def launch(self, row, site):
        """As uWSGI's, minus the plugin."""
        protocol = "uwsgi" if row.link in (UWSGI_UNIX, UWSGI_TCP, NGINX_UWSGI) else "http"
        key = "socket" if protocol == "uwsgi" else "http-socket"
        address = site.for_link(row.link)
        ini = write_ini(row, site, [f"home = {self.peers.folder}", f"{key} = {address}"])
        return Launch([self.program, "--ini", site.folder / "app.ini"], address, protocol, ini=ini)


def write_ini(row, site, special):
    """The configuration file of uWSGI and uwring; returns its text."""
    lines = [
        "[uwsgi]",
        "master = true",
        "single-interpreter = true",
        "need-app = true",
        "die-on-term = true",
        "vacuum = true",
        "disable-logging = true",
        f"processes = {row.processes}",
        f"listen = {site.backlog}",
        f"pythonpath = {HERE}",
        f"module = {row.app}",
        *special,
    ]
    if row.threads > 1:
        lines.append(f"threads = {row.threads}")
    if row.processes > 1:
        lines.append("thunder-lock = true")
    text = "\n".join(lines) + "\n"
    (site.folder / "app.ini").write_text(text)
    return text


class Bjoern:
    """One thread, libev; HTTP over TCP and unix sockets."""

    name = "bjoern"
    links = HTTP_LINKS | {NGINX_PROXY}

    def __init__(self, peers):
        self.peers = peers

    def problem(self):
        """Why it can't run, or None."""
        return missing(self.peers, "bjoern")

    def version(self):
        """For the report."""
        return self.peers.version("bjoern")

    def launch(self, row, site):
        """By the small starter beside this file."""
        address = site.for_link(row.link)
        shown = f"unix:{address}" if address.startswith("/") else address
        command = [self.peers.python, HERE / "start_bjoern.py", row.app, shown, row.processes]
        return Launch(command, address, "http")


class FastWsgi:
    """One thread, libuv; HTTP over TCP only."""

    name = "fastwsgi"
    links = HTTP_LINKS

    def __init__(self, peers):
        self.peers = peers

    def problem(self):
        """Why it can't run, or None."""
        return missing(self.peers, "fastwsgi")

    def version(self):
        """For the report."""
        return self.peers.version("fastwsgi")

    def launch(self, row, site):
        """By the small starter beside this file."""
        command = [self.peers.python, HERE / "start_fastwsgi.py", row.app, site.tcp, row.processes]
        return Launch(command, site.tcp, "http")


class Granian:
    """Rust, tokio and hyper; one blocking thread a worker is its documentation's advice for WSGI."""

    name = "granian"
    links = HTTP_LINKS | {NGINX_PROXY}

    def __init__(self, peers):
        self.peers = peers

    def problem(self):
        """Why it can't run, or None."""
        return missing(self.peers, "granian")

    def version(self):
        """For the report."""
        return self.peers.version("granian")

    def launch(self, row, site):
        """HTTP/1 alone saves it the guess; its access log is off by default."""
        address = site.for_link(row.link)
        host, _, port = site.tcp.partition(":")
        where = ["--uds", address] if address.startswith("/") else ["--host", host, "--port", port]
        command = [self.peers.program("granian"), "--interface", "wsgi", "--http", "1", "--no-ws", "--workers",
                   row.processes, "--blocking-threads", row.threads, "--backlog", site.backlog, *where,
                   row.app]  # fmt: skip
        return Launch(command, address, "http", env={"PYTHONPATH": str(HERE)})


class Gunicorn:
    """Pure Python. Its sync worker is the default and the fastest for a bare call, but closes every connection."""

    name = "gunicorn"
    links = HTTP_LINKS | {NGINX_PROXY}

    def __init__(self, peers):
        self.peers = peers

    def problem(self):
        """Why it can't run, or None."""
        return missing(self.peers, "gunicorn")

    def version(self):
        """For the report."""
        return self.peers.version("gunicorn")

    def launch(self, row, site):
        """No access log is its default."""
        address = site.for_link(row.link)
        where = f"unix:{address}" if address.startswith("/") else address
        command = [self.peers.program("gunicorn"), "--workers", row.processes, "--backlog", site.backlog, "--bind",
                   where, "--pythonpath", HERE, row.app]  # fmt: skip
        return Launch(command, address, "http", note="sync worker: every answer closes the connection")


class Floor:
    """No server: the sockets' own cost, by the generator's `floor` mode."""

    name = "floor"
    links = {UWSGI_UNIX, UWSGI_TCP}

    def __init__(self, generator):
        self.generator = Path(generator)

    def problem(self):
        """Why it can't run, or None."""
        return None if self.generator.exists() else "uwring-load is not built"

    def version(self):
        """For the report."""
        return "fixed bytes, no Python"

    def launch(self, row, site):
        """Bound in time by itself as well."""
        address = site.for_link(row.link)
        return Launch([self.generator, "floor", address, "-d", "600"], address, "uwsgi")


def missing(peers, name):
    """Why a peer from PyPI can't run, or None."""
    return None if peers.version(name) else peers.problems.get(name, f"{name} is not installed")
