"""Tests of the bench itself: `python3 scripts/bench/tests.py`. Standard library only, no server needed."""

import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import apps  # noqa: E402
import front  # noqa: E402
import machine  # noqa: E402
import measure  # noqa: E402
import processes  # noqa: E402
import report  # noqa: E402
import stepping  # noqa: E402
from placement import Placement, place  # noqa: E402
from rows import QUICK, ROWS, Row, choose  # noqa: E402
from servers import BACKLOG, Site, Uwring, Uwsgi  # noqa: E402


class Applications(unittest.TestCase):
    """Every route answers as many bytes as it announces."""

    def test_lengths_are_true(self):
        for path in apps.ROUTES:
            announced = {}

            def start_response(status, headers, announced=announced):
                announced.update(headers)

            with open(os.devnull, "rb") as empty:
                body = b"".join(apps.app({"PATH_INFO": path, "wsgi.input": empty}, start_response))
            self.assertEqual(int(announced["Content-Length"]), len(body), path)


class Rows(unittest.TestCase):
    """The list of rows hangs together."""

    def test_names_are_unique_and_quick_ones_exist(self):
        names = [row.name for row in ROWS]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual({row.name for row in choose(QUICK)}, set(QUICK))

    def test_goals_are_against_servers_of_the_row(self):
        for row in ROWS:
            for goal in row.goals:
                self.assertTrue(set(goal.against) & set(row.servers), f"{row.name}: {goal}")

    def test_a_pattern_without_a_row_is_refused(self):
        self.assertEqual([row.name for row in choose(["uwsgi-unix-1"])], ["uwsgi-unix-1"])
        with self.assertRaises(ValueError):
            choose(["uwsgi-*", "no-such-*"])


class Placing(unittest.TestCase):
    """A pinned server never shares its core."""

    def row(self, **changes):
        return Row(**{"name": "r", "link": "http-close", "connections": 1, "servers": (), **changes})

    def test_two_cores_put_client_and_nginx_together(self):
        self.assertEqual(place(self.row(), [2, 5]), Placement((2,), (5,), (5,)))

    def test_three_cores_part_them(self):
        self.assertEqual(place(self.row(), [0, 1, 2]), Placement((0,), (1,), (2,)))

    def test_too_few_cores_pin_nothing(self):
        self.assertEqual(place(self.row(), [0]), Placement())
        self.assertEqual(place(self.row(processes=2), [0, 1]), Placement())
        self.assertEqual(place(self.row(pinned=False), [0, 1, 2]), Placement())


class Configuration(unittest.TestCase):
    """uWSGI and uwring are given the same file."""

    class Peers:
        """An environment that exists in name only."""

        folder = Path("/venv")
        problems = {}

        @staticmethod
        def program(name):
            """Any file that exists will do."""
            return Path(sys.executable)

    def test_inis_differ_in_nothing_for_the_uwsgi_protocol(self):
        for row in choose(["uwsgi-*", "nginx-uwsgi-*"]):
            with tempfile.TemporaryDirectory() as folder:
                site = Site(Path(folder), 1, BACKLOG)
                theirs = Uwsgi(self.Peers).launch(row, site)
                ours = Uwring(self.Peers, "/uwring").launch(row, site)
            self.assertEqual(theirs.ini, ours.ini, row.name)
            self.assertEqual((theirs.address, theirs.protocol), (ours.address, ours.protocol))

    def test_no_ini_logs_requests(self):
        for row in ROWS:
            with tempfile.TemporaryDirectory() as folder:
                ini = Uwring(self.Peers, "/uwring").launch(row, Site(Path(folder), 1, BACKLOG)).ini
            self.assertIn("disable-logging = true", ini.splitlines(), row.name)

    def test_nginx_keeps_upstream_connections_only_where_they_can_be_kept(self):
        site = Site(Path("/tmp/x"), 8080, BACKLOG)
        self.assertIn("keepalive 64;", front.config(site, "http", "/s", 64))
        self.assertNotIn("keepalive 64;", front.config(site, "uwsgi", "/s", 64))


class Weighing(unittest.TestCase):
    """CPU of a tree, and its end."""

    def test_cpu_of_children_counts_and_all_are_stopped(self):
        burn = "import time\nwhile time.process_time() < 0.2: pass\ntime.sleep(60)"
        parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
        with tempfile.TemporaryDirectory() as folder:
            started = processes.Started([sys.executable, "-c", parent], folder, "burner")
            deadline = time.monotonic() + 20
            while started.cpu_seconds() < 0.2 and time.monotonic() < deadline:
                time.sleep(0.02)
            tree = started.tree()
            self.assertGreaterEqual(started.cpu_seconds(), 0.2)
            self.assertEqual(len(tree), 2)
            started.stop()
        left = [pid for pid in tree if processes._is_running(processes._stat(pid), tree[0])]
        self.assertEqual(left, [])

    def test_the_clock_agrees_with_the_process_itself(self):
        code = "import time\nwhile time.process_time() < 0.1: pass\nprint(time.process_time(), flush=True); input()"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        own = float(child.stdout.readline())
        self.assertAlmostEqual(processes.cpu_seconds(child.pid), own, delta=0.02)
        child.communicate("\n")

    def test_nobody_has_used_no_time(self):
        self.assertEqual(processes.cpu_seconds(2**22 + 1), 0.0)


def one_round(rps, cpu_us, errors=None, client_busy=0.5, moved=False):
    """A round with what a test cares about."""
    rest = dict.fromkeys(("front_cpu_us", "p50_us", "p99_us", "p999_us", "max_us", "others"), 0.0)
    rest |= {"client_busy": client_busy, "requests": 1, "errors": errors or {}, "moved": moved}
    return {**rest, "rps": rps, "cpu_us": cpu_us}


class Reporting(unittest.TestCase):
    """Medians, ratios and the page."""

    row = choose(["uwsgi-unix-64"])[0]

    def page(self, **servers):
        results = {self.row.name: {name: report.summarise(rounds) for name, rounds in servers.items()}}
        facts = {"date": "d", "commit": "c", "kernel": "k", "cpu": "m", "cores": [0, 1], "load_average_before": [0]}
        facts["distance_ns"] = 80.0
        settings = {"rounds": 1, "seconds": 1, "python": "3", "servers": {}}
        return report.markdown(facts, settings, [self.row], results, {}, ["x: broke\n\n log"])

    def test_a_summary_is_the_median_and_the_errors_add_up(self):
        rounds = [one_round(rps, 1.0, {"reset": 2}) for rps in (30, 10, 20)]
        summary = report.summarise(rounds)
        self.assertEqual(summary["rps"], {"median": 20, "min": 10, "max": 30})
        self.assertEqual(summary["errors"], {"reset": 6})

    def test_the_best_peer_is_the_fastest_or_the_cheapest(self):
        row = {name: report.summarise([one_round(*pair)]) for name, pair in {"a": (10, 5), "b": (20, 9)}.items()}
        self.assertEqual(report.best(row, "rps", ("a", "b")), "b")
        self.assertEqual(report.best(row, "cpu_us", ("a", "b")), "a")
        self.assertIsNone(report.best(row, "rps", ("c",)))

    def test_a_goal_is_reached_or_not(self):
        page = self.page(uwring=[one_round(120.0, 9.0)], uwsgi=[one_round(100.0, 10.0)])
        self.assertIn("| requests/s | 120 | uwsgi 100 | 1.20 | ≥ 1.15 | reached |", page)
        self.assertIn("| CPU µs/request | 9.0 | uwsgi 10.0 | 0.90 | ≤ 0.85 | not yet |", page)

    def test_a_full_client_is_said_so(self):
        full = [one_round(100.0, 8.7, client_busy=1.0)]
        for theirs, verdict in ((10.1, "0.86 of uwsgi's: reached"), (9.9, "0.88 of uwsgi's: not yet")):
            page = self.page(uwring=full, uwsgi=[one_round(100.0, theirs, client_busy=1.0)])
            self.assertIn(f"| 1.00 | ≥ 1.15 | client full; CPU {verdict} |", page)

    def test_a_page_without_uwring_has_no_ratios_and_names_what_failed(self):
        page = self.page(uwsgi=[one_round(100.0, 10.0)])
        self.assertIn("| – | – |", page)
        self.assertIn("- x: broke / log", page)


    def test_turns_on_a_machine_that_moved_are_named(self):
        self.assertNotIn("Moved", self.page(uwring=[one_round(1.0, 1.0)]))
        page = self.page(uwring=[one_round(1.0, 1.0, moved=True), one_round(1.0, 1.0)])
        self.assertIn("Moved: in 1 turns", page)


class Moving(unittest.TestCase):
    """A virtual machine's cores are not always the same."""

    def test_a_turn_is_taken_again_a_few_times(self):
        for moved, taken in (([False], 1), ([True, True, False], 3), ([True] * 9, measure.TURNS_AGAIN + 1)):
            turns = iter([one_round(n, 1.0, moved=each) for n, each in enumerate(moved)])
            self.assertEqual(measure.in_place(lambda turns=turns: next(turns))["rps"], taken - 1)

    def test_as_far_as_usual(self):
        self.assertEqual([machine.is_usual(ns, 81.0) for ns in (34, 60, 88, 350)], [False, True, True, False])
        self.assertTrue(machine.is_usual(None, None))

    def test_one_core_is_nowhere(self):
        self.assertIsNone(machine.usual_distance("no-such-program", [0]))


ECHO = """
import sys, socket, time
line = socket.socket(fileno=int(sys.argv[1]))
while line.recv(1):
    line.sendall(f"{int(time.time())} {time.monotonic_ns()}".encode())
"""


@unittest.skipUnless(platform.machine() == "x86_64", "it patches machine code")
class Stepping(unittest.TestCase):
    """Instructions are counted, and the clock hardly moves meanwhile."""

    def test_the_same_again_is_as_many_within_one_second(self):
        ours, theirs = socket.socketpair()
        number = str(theirs.fileno())
        child = subprocess.Popen([sys.executable, "-c", ECHO, number], pass_fds=[theirs.fileno()])
        try:
            ours.sendall(b"x")
            ours.recv(100)
            stepped, counts, times = stepping.Stepped(child.pid), [], []
            for _ in range(4):
                ours.setblocking(True)
                ours.sendall(b"x")
                counts.append(stepped.run(ours))
                times.append([int(word) for word in stepped.answer.split()])
            self.assertGreater(min(counts[1:]), 500)
            self.assertLess(max(counts[1:]), 1.01 * min(counts[1:]), counts)
            walls, monotonic = zip(*times)
            self.assertEqual(len(set(walls)), 1, walls)
            self.assertEqual(sorted(set(monotonic)), list(monotonic))
            self.assertLess(monotonic[-1] - monotonic[0], 100_000_000)
        finally:
            child.kill()
            child.wait()
            ours.close()
            theirs.close()


if __name__ == "__main__":
    unittest.main()
