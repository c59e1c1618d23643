"""The load: wrk for HTTP, uwring-load for the uwsgi protocol. Both hand back the same dictionary."""

import json
import os
import resource
import subprocess
from pathlib import Path

from processes import pinned
from rows import HTTP_CLOSE

HERE = Path(__file__).resolve().parent

# What a browser sends; the generator's variable block holds the same.
HEADERS = {
    "Host": "www.example.org",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "sessionid=4q1u8m0c7x2b9d5k3z6a; csrftoken=Jw2nV8rTqYb5",
    "Upgrade-Insecure-Requests": "1",
}
# A client that never returns must not hold the run up for ever.
SLACK_SECONDS = 30


def wrk(row, address, seconds, cores):
    """HTTP over TCP, one thread. wrk takes whole seconds only."""
    keep_alive = row.link != HTTP_CLOSE
    headers = dict(HEADERS) if keep_alive else {**HEADERS, "Connection": "close"}
    command = ["wrk", "-t1", f"-c{row.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "--latency",
               "-s", HERE / "wrk.lua"]  # fmt: skip
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    environ = {"BENCH_UPLOAD": str(row.upload)}
    return run([*command, f"http://{address}{row.path}"], seconds, cores, environ)


def generator(row, program, address, seconds, cores):
    """The uwsgi protocol, one request a connection."""
    command = [program, "uwsgi", address, "-p", row.path, "-c", row.connections, "-d", seconds]
    if row.body is not None:
        command += ["-x", len(row.body)]
    return run(command, seconds, cores)


def run(command, seconds, cores, environ=None):
    """Runs a client to its end; its last line is the result. The client's CPU share tells whether it was the limit."""
    before = _children_seconds()
    done = subprocess.run(
        pinned(command, cores),
        capture_output=True,
        text=True,
        timeout=seconds + SLACK_SECONDS,
        check=False,
        env={**os.environ, **(environ or {})},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result["client_cpu_s"] = round(_children_seconds() - before, 4)
    result["rps"] = result["requests"] / result["seconds"] if result["seconds"] else 0.0
    return result


def _children_seconds():
    """CPU of the children that ended: between two calls only the client ends."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
