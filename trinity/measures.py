"""What this process counts of its own work, for ``/metrics``.

Each process reports what it did itself. What all of them share is read from the database when
it is asked for, in ``operations.metrics``.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Gauge, Histogram

REQUEST_SECONDS = Histogram(
    "trinity_http_request_duration_seconds",
    "Requests that Django answered, by the path's pattern; streams and sockets are not among them",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
VIEWERS = Gauge("trinity_viewers", "Open live sockets and streams", ["kind"])
QUEUED = Gauge("trinity_queue_depth", "Jobs that wait for a thread", ["queue"])
LINES_STORED = Counter("trinity_log_lines_stored", "Lines of logs stored by this process")

# Their paths are many and of no interest one by one.
_OTHERS = ("admin", "static")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def watch_queue(name: str, threads: ThreadPoolExecutor) -> None:
    """Report how many jobs wait for one of the pool's threads, whenever that is asked."""
    # The pool tells nobody. To count along would go wrong with every job cancelled in the queue.
    queue = threads._work_queue  # noqa: SLF001
    QUEUED.labels(name).set_function(queue.qsize)


class RequestDurations:
    """Measures each request from before the first to behind the last of the other middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = time.perf_counter()
        response = self.get_response(request)
        REQUEST_SECONDS.labels(
            route_of(request),
            request.method if request.method in _METHODS else "other",
            f"{response.status_code // 100}xx",
        ).observe(time.perf_counter() - begun)
        return response


def route_of(request: HttpRequest) -> str:
    """The pattern and never the path: names in it are without number, and others' business."""
    first = request.path_info.split("/", 2)[1]
    if first in _OTHERS:
        return first
    return request.resolver_match.route if request.resolver_match else "unknown"
