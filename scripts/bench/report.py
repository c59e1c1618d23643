"""From rounds to a page: medians with their spread, ratios, goals; as markdown and as JSON."""

import json
from statistics import median

FIGURES = ("rps", "cpu_us", "front_cpu_us", "p50_us", "p99_us", "p999_us", "max_us", "client_busy", "others")
HIGHER_IS_BETTER = {"rps"}
US = "uwring"
# From here on the client's core was full: requests/s then say nothing about the server, CPU a request still does.
CLIENT_FULL = 0.97
# So much foreign work is a disturbance worth a line under the table.
OTHERS_CORES = 0.1


def summarise(rounds):
    """One server's rounds of a row as medians with least and most; errors are added up."""
    errors = {}
    for each in rounds:
        for kind, count in each["errors"].items():
            errors[kind] = errors.get(kind, 0) + count
    summary = {
        figure: {"median": median(values), "min": min(values), "max": max(values)}
        for figure in FIGURES
        for values in [[each[figure] for each in rounds]]
    }
    counts = {"requests": sum(each["requests"] for each in rounds), "moved": sum(each["moved"] for each in rounds)}
    return {**summary, **counts, "errors": errors}


def ratio(row_result, figure, peer):
    """uwring's median divided by the peer's, or None when one of them has none."""
    if US not in row_result or peer not in row_result:
        return None
    theirs = row_result[peer][figure]["median"]
    return row_result[US][figure]["median"] / theirs if theirs else None


def best(row_result, figure, peers):
    """The peer with the best median of a figure, or None."""
    present = [peer for peer in peers if peer in row_result and peer != US]
    if not present:
        return None
    choose = max if figure in HIGHER_IS_BETTER else min
    return choose(present, key=lambda peer: row_result[peer][figure]["median"])


def markdown(machine, settings, rows, results, starts, problems):
    """The whole page."""
    parts = [_heading(machine, settings), _goal_table(rows, results)]
    parts += [_row_table(row, results[row.name], starts) for row in rows if results.get(row.name)]
    if problems:
        parts.append("Not measured:\n" + "\n".join(f"- {_one_line(problem)}" for problem in problems))
    return "\n\n".join(part for part in parts if part) + "\n"


def to_json(machine, settings, results, starts, problems):
    """Everything, rounds included."""
    page = {"machine": machine, "settings": settings, "rows": results, "starts": starts, "problems": problems}
    return json.dumps(page, indent=1, default=str) + "\n"


def _heading(machine, settings):
    versions = ", ".join(f"{name} {version}" for name, version in settings["servers"].items())
    apart = f" {machine['distance_ns']:.0f} ns apart" if machine["distance_ns"] else ""
    return (
        f"{machine['date']}, commit {machine['commit']}, Linux {machine['kernel']}, {machine['cpu']}, "
        f"{len(machine['cores'])} cores{apart}, load average before {machine['load_average_before'][0]}; "
        f"{settings['rounds']} rounds of {settings['seconds']} s, servers taking turns; Python "
        f"{settings['python']}. {versions}."
    )


def _goal_table(rows, results):
    lines = []
    for row in rows:
        result = results.get(row.name, {})
        for goal in row.goals:
            peer = best(result, goal.figure, goal.against)
            reached = ratio(result, goal.figure, peer) if peer else None
            if reached is not None:
                lines.append(_goal_line(row, goal, peer, reached, result))
    if not lines:
        return ""
    head = [_cells(["row", "figure", "uwring", "best peer", "ratio", "goal", ""]),
            _cells(["---", "---", *["---:"] * 4, "---"])]  # fmt: skip
    return "\n".join(head + lines)


def _goal_line(row, goal, peer, reached, result):
    above = goal.figure in HIGHER_IS_BETTER
    is_met = reached >= goal.ratio if above else reached <= goal.ratio
    sign = "≥" if above else "≤"
    ours, theirs = (result[name][goal.figure]["median"] for name in (US, peer))
    figure = {"rps": "requests/s", "cpu_us": "CPU µs/request", "p50_us": "p50 µs"}[goal.figure]
    verdict = "reached" if is_met else "not yet"
    if above and not is_met and _is_client_full(result[US]):
        verdict = _verdict_by_cpu(goal, result)
    return (
        f"| {row.name} | {figure} | {_number(ours)} | {peer} {_number(theirs)} | {reached:.2f} | {sign} {goal.ratio} "
        f"| {verdict} |"
    )


def _verdict_by_cpu(goal, result):
    """Where the client is the limit, processor time decides, at the inverse ratio."""
    peer = best(result, "cpu_us", goal.against)
    share = ratio(result, "cpu_us", peer)
    met = "reached" if share <= 1 / goal.ratio else "not yet"
    return f"client full; CPU {share:.2f} of {peer}'s: {met}"


def _row_table(row, result, starts):
    has_front = any(each["front_cpu_us"]["median"] for each in result.values())
    head = ["server", "requests/s", "min–max", "CPU µs/request", "min–max", *(["nginx CPU µs"] if has_front else []),
            "p50 µs", "p99 µs", "p99.9 µs", "errors", "uwring ÷ it: requests/s", "CPU"]  # fmt: skip
    lines = [f"### {row.title}", "", _cells(head), _cells(["---"] + ["---:"] * (len(head) - 1))]
    notes = []
    for name, each in result.items():
        lines.append(_cells(_row_cells(name, each, result, has_front)))
        note = starts.get(f"{row.name} {name}", {}).get("note")
        if note:
            notes.append(f"{name}: {note}.")
    if any(_is_client_full(each) for each in result.values()):
        notes.append("\\* the client's core was full; compare CPU.")
    others = [each["others"]["max"] for each in result.values()]
    if max(others) > OTHERS_CORES:
        notes.append(f"Disturbed: other programs used up to {max(others):.1f} cores during a round.")
    moved = sum(each["moved"] for each in result.values())
    if moved:
        notes.append(f"Moved: in {moved} turns the cores were not as far from each other as usual.")
    return "\n".join(lines + [""] * bool(notes) + notes)


def _row_cells(name, each, result, has_front):
    mark = "\\*" if _is_client_full(each) else ""
    front = [_number(each["front_cpu_us"]["median"])] if has_front else []
    return [
        name,
        _number(each["rps"]["median"]) + mark,
        _spread(each["rps"]),
        _number(each["cpu_us"]["median"]),
        _spread(each["cpu_us"]),
        *front,
        *(_number(each[figure]["median"]) for figure in ("p50_us", "p99_us", "p999_us")),
        _errors(each),
        *("–" if name == US else _ratio_text(ratio(result, figure, name)) for figure in ("rps", "cpu_us")),
    ]


def _is_client_full(each):
    return each["client_busy"]["median"] >= CLIENT_FULL


def _errors(each):
    return ", ".join(f"{kind} {count}" for kind, count in each["errors"].items()) or "0"


def _ratio_text(value):
    return "–" if value is None else f"{value:.2f}"


def _spread(figure):
    return f"{_number(figure['min'])}–{_number(figure['max'])}"


def _number(value):
    """Three figures are more than a shared machine deserves; thousands are grouped for the eye."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _one_line(text):
    return " / ".join(line.strip() for line in str(text).splitlines() if line.strip())


def _cells(cells):
    return "| " + " | ".join(cells) + " |"
