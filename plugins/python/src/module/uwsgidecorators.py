"""uwring's `uwsgidecorators`, for applications that import it where no package of that name is installed.

What needs a part of uWSGI that uwring does not have cannot be imported from here, and says why.
"""

import functools
import threading

import uwsgi

__all__ = ["harakiri", "lock", "postfork", "postfork_chain", "postfork_chain_hook", "thread"]

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


# What the others stand on; where the server gains it, the package from PyPI has them.
_NEEDS = {
    "cron": "add_cron",
    "erlang": "erlang_register_process",
    "farm": "farm_get_msg",
    "farm_loop": "farm_get_msg",
    "filemon": "add_file_monitor",
    "get_free_signal": "signal_registered",
    "mule": "mule_msg",
    "mule_brain": "mule_msg",
    "mule_brainloop": "mule_msg",
    "mulefunc": "mule_msg",
    "muleloop": "mule_msg",
    "mulemsg": "mule_get_msg",
    "rbtimer": "add_rb_timer",
    "rpc": "register_rpc",
    "signal": "register_signal",
    "spool": "spool",
    "spoolforever": "spool",
    "spoolraw": "spool",
    "timer": "add_timer",
}


def __getattr__(name):
    # Not an AttributeError: of that, `from uwsgidecorators import timer` would say nothing but "cannot import".
    if name in _NEEDS:
        raise ImportError("uwsgidecorators.%s needs uwsgi.%s, which this server does not offer" % (name, _NEEDS[name]))
    raise AttributeError("module 'uwsgidecorators' has no attribute %r" % name)
