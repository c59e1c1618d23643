"""A process whose instructions are counted, one by one (ptrace; x86-64).

Stepping makes a request last a thousand times as long. So that it does not find another second at each look at the clock, and
do what is done once a second, the clock of the stepped process is slowed down by as much: the wall clock's second stands.
"""

import ctypes
import mmap
import os
import signal
import struct
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long] + [ctypes.c_void_p] * 3
SEIZE, INTERRUPT, SINGLESTEP = 0x4206, 0x4207, 9
WALL = 0x40000000  # threads too
# Cycles of the processor to a slowed nanosecond, as a power of two.
SLOWED_BY = 10


def ptrace(what, tid, data=0):
    if LIBC.ptrace(what, tid, 0, data) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def cycles():
    """The processor's counter, by three instructions of our own."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))  # rdtsc; shl rdx, 32; or rax, rdx; ret
    return ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


def slow_clock():
    """What clock_gettime(2) is in the stepped process: this second for the wall clock, a monotonic second, and nanoseconds that
    pass slowly in both; other clocks are asked of the kernel. The coarse wall clock is the wall clock."""
    return bytes.fromhex(
        "83ff05 7502 31ff"  # cmp edi, 5; jne next; xor edi, edi
        "83ff01 773c"  # cmp edi, 1; ja other
        "0f31 48c1e220 4809d0"  # rdtsc; shl rdx, 32; or rax, rdx
        "48ba" + struct.pack("<Q", cycles()).hex() + "4829d0"  # mov rdx, …; sub rax, rdx
        "48c1e8" + f"{SLOWED_BY:02x}" + "48894608"  # shr rax, …; mov [rsi + 8], rax
        "48b8" + struct.pack("<Q", int(time.time())).hex() + "85ff 740a"  # mov rax, …; test edi, edi; je wall
        "48b8" + struct.pack("<Q", int(time.monotonic()) + 1).hex() +  # mov rax, …
        "488906 31c0 c3"  # wall: mov [rsi], rax; xor eax, eax; ret
        "b8e4000000 0f05 c3"  # other: mov eax, 228; syscall; ret
    )


def symbol(image, name):
    """Where a function of that name begins in an ELF image."""
    (sections,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    heads = [struct.unpack_from("<IIQQQQIIQQ", image, sections + n * size) for n in range(count)]
    table = next(head for head in heads if head[1] == 11)  # SHT_DYNSYM
    names = heads[table[6]][4]
    for at in range(table[4], table[4] + table[5], 24):
        text, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", image, at)
        if image[names + text :].startswith(name + b"\0"):
            return value
    raise LookupError(name)


def slow_down(pid):
    """Gives a process that is traced the slow clock."""
    with open(f"/proc/{pid}/maps") as maps:
        begin, end = (int(part, 16) for line in maps if line.endswith("[vdso]\n") for part in line.split()[0].split("-"))
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(begin)
        place = symbol(memory.read(end - begin), b"__vdso_clock_gettime")
        memory.seek(begin + place)
        memory.write(slow_clock())


class Stepped:
    """See the module's page. One thread runs at a time, until it waits: else the order in which two threads happen to meet would
    change what they do."""

    def __init__(self, pid):
        self.pid = pid
        self.threads = [int(tid) for tid in os.listdir(f"/proc/{pid}/task")]
        self.count = 0
        self.answer = b""
        self.current = None
        self.ready = []
        for tid in self.threads:
            ptrace(SEIZE, tid)
            ptrace(INTERRUPT, tid)
            os.waitpid(tid, WALL)
        slow_down(pid)
        for tid in self.threads:
            ptrace(SINGLESTEP, tid)

    def waits(self, tid):
        """Whether the thread sleeps in the kernel."""
        with open(f"/proc/{self.pid}/task/{tid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] in "SD"

    def run(self, until):
        """Steps until this connection has an answer, or a part of it, and nobody has moved for a moment; the instructions."""
        begun, quiet, self.answer = self.count, 0, b""
        os.set_blocking(until.fileno(), False)
        while quiet < 150:
            tid, status = os.waitpid(-1, WALL | os.WNOHANG)
            if tid in self.threads:
                if not os.WIFSTOPPED(status):
                    sys.exit("the worker ended")
                quiet = 0
                self.ready.append((tid, os.WSTOPSIG(status)))
            elif tid == 0:
                quiet += 1
                os.sched_yield() if quiet < 50 else time.sleep(0.0002)
                self.answer = self.answer or what_came(until)
                if not self.answer:
                    quiet = min(quiet, 60)
            ours = [one for one in self.ready if one[0] == self.current]
            if not ours and self.ready and (self.current is None or (quiet % 20 == 19 and self.waits(self.current))):
                ours = self.ready[:1]
            if ours:
                self.current, number = ours[0]
                self.ready.remove(ours[0])
                self.count += number == signal.SIGTRAP
                ptrace(SINGLESTEP, self.current, 0 if number == signal.SIGTRAP else number)
        return self.count - begun


def what_came(connection):
    try:
        return connection.recv(65536)
    except BlockingIOError:
        return b""
