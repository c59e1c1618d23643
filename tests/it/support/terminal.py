"""Runs a program in a terminal of its own and does what the steps say; prints the last screen, presses q, and expects a good end.

    terminal.py COLUMNS LINES [show:REGEX | press:KEYS | size:COLUMNSxLINES | colours:yes|no | run:COMMAND]... -- PROGRAM [ARGUMENT...]
"""
import fcntl
import os
import pty
import re
import select
import subprocess
import struct
import sys
import termios
import time

import pyte

PATIENCE = 90

at = sys.argv.index("--")
columns, lines = int(sys.argv[1]), int(sys.argv[2])
steps, program = sys.argv[3:at], sys.argv[at + 1:]
pid, terminal = pty.fork()
if pid == 0:
    # The size must be known before anybody asks for it.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    os.environ["TERM"] = "linux"
    os.execvp(program[0], program)
screen = pyte.Screen(columns, lines)
stream = pyte.ByteStream(screen)


def text():
    return "\n".join(line.rstrip() for line in screen.display)


def give_up(why):
    print(text())
    sys.exit(why)


def until(holds, what):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            give_up(f"never {what}")
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                read = os.read(terminal, 65536)
            except OSError:
                give_up("the program has ended")
            stream.feed(read)


def has_colours():
    return any(cell.fg != "default" for line in screen.buffer.values() for cell in line.values())


for step in steps:
    what, _, value = step.partition(":")
    if what == "press":
        os.write(terminal, value.encode().decode("unicode_escape").encode())
    elif what == "size":
        columns, lines = map(int, value.split("x"))
        screen.resize(lines, columns)
        screen.reset()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    elif what == "run":
        subprocess.run(value, shell=True, check=True)
    elif what == "colours":
        if has_colours() != (value == "yes"):
            give_up(f"colours: not {value}")
    else:
        until(lambda: re.search(value, text()), f"showed {value!r}")
shown = text()
os.write(terminal, b"q")
end = time.monotonic() + PATIENCE
while time.monotonic() < end:
    # What it says at its end must be read, or it waits for that.
    if select.select([terminal], [], [], 0.2)[0]:
        try:
            if not os.read(terminal, 65536):
                break
        except OSError:
            break
_, status = os.waitpid(pid, 0)
print(shown)
sys.exit(os.waitstatus_to_exitcode(status))
