"""One measurement: start a server, check its answer, warm it, load it, weigh it, stop it."""

import http.client
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import clients
import front
import machine
from placement import place
from processes import Started
from servers import BACKLOG, Site

READY_SECONDS = 15.0
# wrk knows whole seconds only, so this is also the shortest warm-up.
WARM_SECONDS = 1
# So often a turn is taken again.
TURNS_AGAIN = 4


@dataclass(frozen=True)
class Bench:
    """What all measurements of a run share."""

    generator: Path
    cores: list
    backlog_max: int
    seconds: float
    # By (row, server): the files and commands used, for the report.
    starts: dict
    # Nanoseconds between the cores, as they mostly are; None where it does not matter.
    distance: float | None = None


def in_place(turn):
    """A turn in which the machine's cores were as far from each other as they mostly are, if there is one in a few: in
    another everything has other costs, for every server, and it would only show who had more of them."""
    for _ in range(TURNS_AGAIN):
        result = turn()
        if not result["moved"]:
            return result
        time.sleep(machine.LOOK_SECONDS)
    return turn()


def measure(bench, row, server):
    """The figures of one server in one round of one row."""
    folder = Path(tempfile.mkdtemp(prefix="uwring-bench-"))
    started = []
    try:
        return _measure(bench, row, server, folder, started)
    except Exception as problem:
        logs = "".join(f"\n--- {each.name} ---\n{each.last_lines()}" for each in started)
        raise RuntimeError(f"{row.name}, {server.name}: {problem}{logs}") from problem
    finally:
        for each in reversed(started):
            each.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _measure(bench, row, server, folder, started):
    where = place(row, bench.cores)
    site = Site(folder, free_port(), min(BACKLOG, bench.backlog_max))
    launch = server.launch(row, site)
    main = Started(launch.command, folder, server.name, where.server, launch.env)
    started.append(main)
    wait_for_answer(bench, row, main, launch.address, launch.protocol)
    address, protocol, nginx = launch.address, launch.protocol, None
    record = {"command": main.command, "ini": launch.ini, "note": launch.note}
    if row.link in front.LINKS:
        nginx, record["nginx"] = front.start(site, protocol, address, row.connections, where.front)
        started.append(nginx)
        address, protocol = site.tcp, "http"
        wait_for_answer(bench, row, nginx, address, protocol)
    bench.starts[f"{row.name} {server.name}"] = record

    def load(seconds):
        if protocol == "uwsgi":
            return clients.generator(row, bench.generator, address, seconds, where.client)
        return clients.wrk(row, address, seconds, where.client)

    load(WARM_SECONDS)
    far = [machine.distance(bench.generator, bench.cores)]
    tree, before = main.tree(), _cpu(main, nginx)
    result = load(bench.seconds)
    used = [late - early for early, late in zip(before, _cpu(main, nginx))]
    if sorted(tree) != sorted(main.tree()):
        raise RuntimeError("a process came or went during the load: its CPU time can't be told")
    far.append(machine.distance(bench.generator, bench.cores))
    moved = not all(machine.is_usual(ns, bench.distance) for ns in far)
    return {**_figures(result, *used), "distances_ns": far, "moved": moved}


def _cpu(main, nginx):
    return [main.cpu_seconds(), nginx.cpu_seconds() if nginx else 0.0, machine.busy_seconds()]


def _figures(result, server_cpu, front_cpu, all_cpu):
    """Per request, by the client's count. The client's own limit shows as `client_busy` near 1; `others` is how many
    cores' worth of work the rest of the machine did meanwhile."""
    requests = max(1, result["requests"])
    seconds = result["seconds"] or 1.0
    return {
        "rps": round(result["rps"], 1),
        "cpu_us": round(server_cpu / requests * 1e6, 3),
        "front_cpu_us": round(front_cpu / requests * 1e6, 3),
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "p999_us": result["p999_us"],
        "max_us": result["max_us"],
        "requests": result["requests"],
        "errors": {kind: count for kind, count in result["errors"].items() if count},
        "client_busy": round(result["client_cpu_s"] / seconds, 3),
        "others": round(max(0.0, all_cpu - server_cpu - front_cpu - result["client_cpu_s"]) / seconds, 3),
    }


def free_port():
    """A port nobody listens on; the server takes it a moment later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_answer(bench, row, process, address, protocol):
    """Connects until somebody is there, then asks once: a full answer, not just an open port, is readiness."""
    deadline = time.monotonic() + READY_SECONDS
    while not _connects(address):
        if process.has_ended():
            raise RuntimeError(f"ended before it listened, with status {process.process.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"doesn't listen after {READY_SECONDS:.0f} s")
        time.sleep(0.01)
    if protocol == "uwsgi":
        _check_uwsgi(bench, row, address)
    else:
        _check_http(row, address)


def _dial(address):
    family = socket.AF_UNIX if address.startswith("/") else socket.AF_INET
    peer = socket.socket(family)
    peer.settimeout(READY_SECONDS)
    host, _, port = address.rpartition(":")
    try:
        peer.connect(address if family == socket.AF_UNIX else (host, int(port)))
    except OSError:
        peer.close()
        raise
    return peer


def _connects(address):
    try:
        _dial(address).close()
    except OSError:
        return False
    return True


def _check_http(row, address):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = _dial(address)
    connection.request("GET", row.path, headers={"Connection": "close"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200 or (row.body is not None and body != row.body):
        raise RuntimeError(f"answers {answer.status} {body[:200]!r}")


def _check_uwsgi(bench, row, address):
    command = [bench.generator, "uwsgi", address, "-p", row.path, "-c", 1, "-n", 1]
    if row.body is not None:
        command += ["-x", len(row.body)]
    result = clients.run(command, READY_SECONDS, None)
    if result["requests"] != 1:
        raise RuntimeError(f"answers wrongly: {result['errors']}")
