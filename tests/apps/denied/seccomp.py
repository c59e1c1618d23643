#!/usr/bin/env python3
"""Takes system calls away from this process and its children, as containers and older kernels do.

As a program: does what SECCOMP says and becomes $SECCOMP_PROGRAM with the arguments given.

    SECCOMP="deny EPERM io_uring_setup io_uring_enter io_uring_register"
    SECCOMP="deny EINVAL io_uring_register:22"     only if the second argument is 22
    SECCOMP="profile docs/seccomp/uwring.json"     Docker's format
"""

import ctypes
import errno
import json
import os
import re
import struct
import sys

NUMBERS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}  # the same everywhere
HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06


def step(code, k, jt=0, jf=0):
    return struct.pack("HBBI", code, jt, jf, k & 0xFFFFFFFF)


def argument(index):
    """Where the lower half of an argument is (struct seccomp_data, little endian)."""
    return 16 + 8 * index


def rule(number, verdict, condition=None):
    """What to do about one call. Condition: index of an argument, mask, value."""
    if condition is None:
        return [step(JUMP_EQUAL, number, 0, 1), step(RETURN, verdict)]
    index, mask, value = condition
    body = [
        step(LOAD, argument(index)),
        step(AND, mask),
        step(JUMP_EQUAL, value, 0, 1),
        step(RETURN, verdict),
        step(LOAD, 0),
    ]
    return [step(JUMP_EQUAL, number, 0, len(body)), *body]


def install(rules, default):
    steps = b"".join([step(LOAD, 0), *rules, step(RETURN, default)])
    memory = ctypes.create_string_buffer(steps, len(steps))
    program = struct.pack("HxxxxxxQ", len(steps) // 8, ctypes.addressof(memory))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.c_char_p(program))):  # NO_NEW_PRIVS, SECCOMP
        if prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def deny(name, calls):
    """Lets these calls fail with the error of that name."""
    verdict = ERRNO | getattr(errno, name)
    rules = []
    for call in calls:
        call, _, value = call.partition(":")
        rules += rule(NUMBERS[call], verdict, (1, 0xFFFFFFFF, int(value)) if value else None)
    install(rules, ALLOW)


def follow(path):
    """Does what a profile of Docker's says, as far as this machine knows the calls."""
    text = open(HEADER).read()
    numbers = {name: int(n) for name, n in re.findall(r"#define __NR_(\w+) (\d+)", text)}
    profile = json.load(open(path))
    verdict = {"SCMP_ACT_ALLOW": lambda _: ALLOW, "SCMP_ACT_ERRNO": lambda of: ERRNO | of}
    rules = []
    for entry in profile["syscalls"]:
        what = verdict[entry["action"]](entry.get("errnoRet", errno.EPERM))
        conditions = [(a["index"], a["value"], a["valueTwo"]) for a in entry.get("args", [])]
        assert all(a["op"] == "SCMP_CMP_MASKED_EQ" for a in entry.get("args", []))
        for name in entry["names"]:
            if name in numbers:
                rules += rule(numbers[name], what, *conditions)
    install(rules, verdict[profile["defaultAction"]](profile["defaultErrnoRet"]))


if __name__ == "__main__":
    what, *words = os.environ.pop("SECCOMP").split()
    program = os.environ.pop("SECCOMP_PROGRAM")
    {"deny": lambda: deny(words[0], words[1:]), "profile": lambda: follow(words[0])}[what]()
    os.execv(program, [program, *sys.argv[1:]])
