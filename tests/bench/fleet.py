"""A running product with as many agents as a measure needs."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from time import perf_counter

from tests.product import Product

PARALLEL = 4
SMALL = {"memory": "1g", "cpu": "1"}


@contextmanager
def installation(**environment):
    """A product of the measure's own on SQLite, as `make up` runs it; nothing of it remains."""
    product = Product(environment={"DATABASE_URL": "", "REDIS_URL": "", **environment}, fresh=True)
    try:
        product.start()
        yield product
    finally:
        product.remove()


def grow(product, count):
    """Add running agents until there are so many; says how far it is."""
    have = len(product.get("/api/agents").json())
    begun = perf_counter()

    def create(number):
        product.create_agent(f"bench-{number:04}", resources=SMALL)

    with ThreadPoolExecutor(PARALLEL) as pool:
        for done, _ in enumerate(pool.map(create, range(have, count)), have + 1):
            if done % 10 == 0 or done == count:
                seconds = perf_counter() - begun
                say(f"{done} of {count} agents, {seconds:.0f} s")


def say(progress):
    """Progress goes where it does not mix with the tables."""
    print(f"  {progress}", file=sys.stderr, flush=True)


class Caller:
    """A program that keeps its connection and its token, and does nothing else in between."""

    def __init__(self, product, *, token=None):
        self._connection = HTTPConnection("127.0.0.1", product.port, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {token or product.token}",
            "Content-Type": "application/json",
        }

    def open(self, method, path, body=None):
        """Send a request; the answer's body is the caller's to read."""
        self._connection.request(method, path, body, self._headers)
        return self._connection.getresponse()

    def call(self, method, path, body=None):
        answer = self.open(method, path, body)
        content = answer.read()
        assert answer.status < 300, content
        return content


def main_process(product):
    """The process id of ``manage.py up``."""
    [process] = product.processes.values()
    return process.pid


def sampled(work, count, *, warm_up=5):
    """Milliseconds that each of so many calls takes."""
    for _ in range(warm_up):
        work()
    return [_timed(work) for _ in range(count)]


def _timed(work):
    begun = perf_counter()
    work()
    return (perf_counter() - begun) * 1000
