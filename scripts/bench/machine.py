"""What a figure is worth nothing without: commit, kernel, CPU, and how busy the machine was."""

import json
import os
import platform
import subprocess
import time
from datetime import datetime, timezone
from statistics import median

# A virtual machine's cores are real ones of the host, and not always the same: halves of one core, neighbours, or strangers
# without a cache in common. This often we look, this long, to know what is usual here.
LOOKS = 15
LOOK_SECONDS = 0.1
# As far as usual, but for noise. The kinds differ by more than twice.
SAME_FACTOR = 1.5


def describe(root):
    """Read once, at the start of a run."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(root),
        "kernel": platform.release(),
        "cpu": cpu_model(),
        "cores": cores(),
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "somaxconn": backlog_max(),
    }


def commit(root):
    """The short hash, with a mark when the tree differs from it."""
    head = _output(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"])
    changed = _output(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    return (head or "unknown") + ("+changes" if changed else "")


def cores():
    """The cores we may use, not all that exist: a container may have fewer."""
    return sorted(os.sched_getaffinity(0))


def cpu_model():
    """As the kernel names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def backlog_max():
    """The largest backlog a server can have."""
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        return int(file.read())


def distance(generator, cores):
    """Nanoseconds from one core to the other and back; None where there is only one."""
    if len(cores) < 2:
        return None
    line = _output([str(generator), "distance", *map(str, cores[:2])])
    return json.loads(line)["ns"] if line else None


def usual_distance(generator, cores):
    """What it mostly is."""
    looks = []
    for _ in range(LOOKS):
        looks.append(distance(generator, cores))
        if looks[-1] is None:
            return None
        time.sleep(LOOK_SECONDS)
    return median(looks)


def is_usual(ns, usual):
    """Whether the cores are as far from each other as they mostly are."""
    return ns is None or usual is None or usual / SAME_FACTOR <= ns <= usual * SAME_FACTOR


def busy_seconds():
    """CPU time of everybody so far, stolen time included: what is not ours of it disturbed a measurement."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _output(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
