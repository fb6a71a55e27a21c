"""Several requests at the same moment, each in a thread with a connection of its own."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

from django.db import connections


def at_once(*calls):
    """Run the calls from one moment on and return their results."""
    everyone = Barrier(len(calls))

    def run(call):
        everyone.wait(10)
        return _apart(call)

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


@contextmanager
def meanwhile(call):
    """Give a future of the call, which goes on while the block runs."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(_apart, call)


def _apart(call):
    try:
        return call()
    finally:
        connections.close_all()
