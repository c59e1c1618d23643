"""uwring's `uwsgidecorators`, for applications that import it where no package of that name is installed.

What needs a part of uWSGI that uwring does not have cannot be imported from here, and says why.
"""

import functools
import threading

import uwsgi

__all__ = [
    "cron",
    "filemon",
    "get_free_signal",
    "harakiri",
    "lock",
    "postfork",
    "postfork_chain",
    "postfork_chain_hook",
    "rbtimer",
    "signal",
    "thread",
    "timer",
]

# (worker, function): worker 0 stands for all of them.
postfork_chain = []


def postfork_chain_hook():
    """Calls what was registered, in that order: the server's post_fork_hook."""
    for worker, function in postfork_chain:
        if worker in (0, uwsgi.worker_id()):
            function()


uwsgi.post_fork_hook = postfork_chain_hook


def postfork(what):
    """@postfork, or @postfork(2) for worker 2 alone: called in a worker after it was forked."""
    if callable(what):
        postfork_chain.append((0, what))
        return what

    def register(function):
        postfork_chain.append((int(what), function))
        return function

    return register


def lock(function):
    """One call at a time, in all workers together, under the server's lock 0."""

    @functools.wraps(function)
    def locked(*args, **kwargs):
        uwsgi.lock()
        try:
            return function(*args, **kwargs)
        finally:
            uwsgi.unlock()

    return locked


def thread(function):
    """A call returns at once, the function runs in a thread that ends with the process."""

    @functools.wraps(function)
    def start(*args, **kwargs):
        threading.Thread(target=function, args=args, kwargs=kwargs, daemon=True).start()

    return start


def harakiri(seconds):
    """A call has that many seconds, as uwsgi.set_user_harakiri counts them."""

    def limit(function):
        @functools.wraps(function)
        def limited(*args, **kwargs):
            uwsgi.set_user_harakiri(seconds)
            try:
                return function(*args, **kwargs)
            finally:
                uwsgi.set_user_harakiri(0)

        return limited

    return limit


def get_free_signal():
    """A signal that nobody handles yet."""
    for number in range(256):
        if not uwsgi.signal_registered(number):
            return number
    raise Exception("No free uwsgi signal available")


class signal:
    """@signal(5): the function handles that signal, in a worker or in those that target= names."""

    def __init__(self, num, **kwargs):
        self.num = num
        self.target = kwargs.get("target", "")

    def __call__(self, function):
        uwsgi.register_signal(self.num, self.target, function)
        return function


class _raised:
    """A function that handles a signal of its own (or signum=), which something raises."""

    def __init__(self, *times, **kwargs):
        self.times = times
        self.num = kwargs.get("signum", get_free_signal())
        self.target = kwargs.get("target", "")
        self.more = kwargs

    def __call__(self, function):
        uwsgi.register_signal(self.num, self.target, function)
        self.start()
        return function


class timer(_raised):
    """@timer(5): every five seconds."""

    def start(self):
        uwsgi.add_timer(self.num, *self.times)


class rbtimer(_raised):
    """@rbtimer(5, iterations=3): every five seconds, three times."""

    def start(self):
        uwsgi.add_rb_timer(self.num, *self.times, self.more.get("iterations", 0))


class cron(_raised):
    """@cron(59, 3, -1, -1, -1): minute, hour, day, month, weekday; -1 is any, -N every N."""

    def start(self):
        uwsgi.add_cron(self.num, *self.times)


class filemon(_raised):
    """@filemon("/tmp/file"): when that file or folder changes."""

    def start(self):
        uwsgi.add_file_monitor(self.num, *self.times)


# What the others stand on; where the server gains it, the package from PyPI has them.
_NEEDS = {
    "erlang": "erlang_register_process",
    "farm": "farm_get_msg",
    "farm_loop": "farm_get_msg",
    "mule": "mule_msg",
    "mule_brain": "mule_msg",
    "mule_brainloop": "mule_msg",
    "mulefunc": "mule_msg",
    "muleloop": "mule_msg",
    "mulemsg": "mule_get_msg",
    "rpc": "register_rpc",
    "spool": "spool",
    "spoolforever": "spool",
    "spoolraw": "spool",
}


def __getattr__(name):
    # Not an AttributeError: of that, `from uwsgidecorators import timer` would say nothing but "cannot import".
    if name in _NEEDS:
        raise ImportError("uwsgidecorators.%s needs uwsgi.%s, which this server does not offer" % (name, _NEEDS[name]))
    raise AttributeError("module 'uwsgidecorators' has no attribute %r" % name)
