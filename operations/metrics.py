"""``GET /metrics``: Prometheus's text, from recorded state and this process's own counts."""

from collections.abc import Iterator

from django.db.models import Count, Sum
from django.http import HttpResponse
from django.urls import path
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from rest_framework.request import Request

from agents.models import Agent, Host, Log
from operations.models import Operation
from trinity.answers import answers
from trinity.api import ApiView
from trinity.errors import Forbidden
from trinity.identity import user_of
from trinity.models import Scope, User


class MayNotMeasure(Forbidden):
    code = "metrics_forbidden"

    def __init__(self) -> None:
        super().__init__("/metrics needs a token with the scope metrics, or an administrator")


class MetricsView(ApiView):
    read_scope = None

    @answers(str, 403, media_type="text/plain")
    def get(self, request: Request) -> HttpResponse:
        if not may_measure(user_of(request)):
            raise MayNotMeasure
        recorded = CollectorRegistry()
        recorded.register(Recorded())
        text = generate_latest(recorded) + generate_latest(REGISTRY)
        return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def may_measure(user: User) -> bool:
    """Administrators; with a limited token only if it has the scope, and for all agents."""
    return user.is_superuser and user.may(Scope.METRICS) and user.agent_uids is None


class Recorded(Collector):
    """What all processes share: a handful of queries, and none to the engine."""

    def describe(self) -> list[Metric]:
        return []  # Else it would be collected once more, only to learn the names.

    def collect(self) -> Iterator[Metric]:
        agents = Agent.objects.present().order_by().values_list("status").annotate(Count("pk"))
        yield _by_status("trinity_agents", "Agents by status", Agent.Status.values, agents)
        operations = Operation.objects.order_by().values_list("status").annotate(Count("pk"))
        statuses = Operation.Status.values
        yield _by_status("trinity_operations", "Operations by status", statuses, operations)
        yield GaugeMetricFamily(
            "trinity_log_lines",
            "Lines of all logs there are, those that were dropped from their beginning too",
            value=Log.objects.aggregate(sum=Sum("last_seq"))["sum"] or 0,
        )
        for host in Host.objects.filter(name="local"):
            yield from _of_host(host)


def _by_status(name: str, text: str, statuses: list[str], found: object) -> Metric:
    counts: dict[str, int] = dict(found)  # type: ignore[call-overload]  # pairs of values_list
    family = GaugeMetricFamily(name, text, labels=["status"])
    for status in statuses:
        family.add_metric([status], counts.get(status, 0))
    return family


def _of_host(host: Host) -> Iterator[Metric]:
    now = timezone.now()
    yield GaugeMetricFamily(
        "trinity_engine_up", "Whether the engine answers", value=host.away_since is None
    )
    if host.lease_expires_at:
        renewed_at = host.lease_expires_at - Host.LEASE
        yield GaugeMetricFamily(
            "trinity_supervisor_lag_seconds",
            "Since the supervisor renewed its lease, every 3 s when all is well; "
            "missing where none has it",
            value=max(0.0, (now - renewed_at).total_seconds()),
        )


urlpatterns = [path("metrics", MetricsView.as_view())]
