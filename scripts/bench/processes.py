"""Starting, weighing and stopping processes: only those started here, and their descendants, are ever touched."""

import os
import signal
import subprocess
import time
from pathlib import Path

STOP_SECONDS = 5.0


class Started:
    """A server or front end we started, with all its descendants."""

    def __init__(self, command, folder, name, cores=None, env=None):
        """`cores`: pin it (and what it forks) there by `taskset`, so that the command in the report can be repeated."""
        self.name = name
        self.command = pinned(command, cores)
        self.log = Path(folder) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def has_ended(self):
        """True when the main process is gone."""
        return self.process.poll() is not None

    def tree(self):
        """Its process ids, main process first."""
        return descendants(self.process.pid)

    def cpu_seconds(self):
        """User and system time so far of all its processes and threads, those that ended included."""
        return sum(cpu_seconds(pid) for pid in self.tree())

    def last_lines(self, count=15):
        """The end of its log, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def stop(self):
        """Asks, waits, then insists. Workers may outlive their master: they are told by its session, since a process
        id alone may have become someone else's meanwhile."""
        tree = self.tree()
        _signal([self.process.pid], signal.SIGTERM)
        if not self._is_over(tree, STOP_SECONDS):
            _signal(self._left(tree), signal.SIGKILL)
            self._is_over(tree, STOP_SECONDS)
        self.process.wait()

    def _is_over(self, tree, seconds):
        deadline = time.monotonic() + seconds
        while not self.has_ended() or self._left(tree):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _left(self, tree):
        """Those still running, of the session that began with the main process."""
        return [pid for pid in tree if _is_running(_stat(pid), self.process.pid)]


def pinned(command, cores):
    """The command, held to `cores` when there are any."""
    words = [str(word) for word in command]
    return ["taskset", "-c", ",".join(map(str, cores)), *words] if cores else words


def cpu_seconds(pid):
    """The process's CPU clock: nanoseconds, all threads. `/proc/PID/stat` has the same sum in steps of 10 ms, which
    is 5 % of a short run at a low rate. The id is built as clock_getcpuclockid(3) does."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def pss_kb(pid):
    """The process's memory in kB, what it shares with others in proportion."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1])


def descendants(pid):
    """`pid` and everything below it."""
    children = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            children.setdefault(_parent(folder), []).append(int(folder.name))
    tree, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        tree.append(current)
        waiting.extend(children.get(current, []))
    return tree


def _parent(folder):
    fields = _stat(folder.name)
    return int(fields[1]) if fields else -1


def _is_running(fields, session):
    """An orphan that ended may stay a zombie for as long as init likes."""
    return bool(fields) and fields[0] != "Z" and int(fields[3]) == session


def _stat(pid):
    """State, parent, group, session and so on; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The name in brackets may itself hold spaces and brackets: count from the last one.
    return text.rpartition(")")[2].split()


def _signal(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
