"""Runs a program for the terminal in one, until its screen shows a text: prints that screen, and presses q.

    screen.py KEYS TEXT PROGRAM [ARGUMENT...]
"""
import os
import pty
import re
import select
import sys
import time

import pyte

COLUMNS, LINES = 160, 24
PATIENCE = 90

keys, wanted, program = sys.argv[1], sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="linux", COLUMNS=str(COLUMNS), LINES=str(LINES))
    os.execvp(program[0], program)
screen = pyte.Screen(COLUMNS, LINES)
stream = pyte.ByteStream(screen)
until = time.monotonic() + PATIENCE
pressed = False
while True:
    if time.monotonic() > until:
        print("\n".join(screen.display))
        sys.exit(f"the screen never showed {wanted!r}")
    if select.select([terminal], [], [], 0.2)[0]:
        try:
            read = os.read(terminal, 65536)
        except OSError:
            read = b""
        if not read:
            print("\n".join(screen.display))
            sys.exit("the program has ended")
        stream.feed(read)
    elif not pressed and any(line.strip() for line in screen.display):
        os.write(terminal, keys.encode())
        pressed = True
    elif re.search(wanted, "\n".join(screen.display)):
        break
os.write(terminal, b"q")
os.waitpid(pid, 0)
print("\n".join(line.rstrip() for line in screen.display))
