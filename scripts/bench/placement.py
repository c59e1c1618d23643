"""Which core runs whom in a pinned row.

The server has its core(s) to itself, so its requests/s are its own. Client and nginx get others; on a machine with
two cores they share the second.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """Lists of cores; None leaves it to the scheduler."""

    server: tuple | None = None
    client: tuple | None = None
    front: tuple | None = None


def place(row, cores):
    """The placement of a row on these cores. One core alone can't be divided: then nothing is pinned."""
    if not row.pinned or len(cores) < row.processes + 1:
        return Placement()
    server, others = cores[: row.processes], cores[row.processes :]
    return Placement(server=tuple(server), client=(others[0],), front=(others[1 % len(others)],))
