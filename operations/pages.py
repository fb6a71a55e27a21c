"""The page of one operation, and the list of an agent's, rendered from what is recorded."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.generic import TemplateView

from agents.models import Agent
from agents.pages import LOG_LINES, AgentPage, signed_in
from operations import again, queue
from operations.access import visible_operation
from operations.errors import OperationNotFound
from operations.models import Operation
from trinity.models import User

# Each that has not ended is a subscription of the page, and a socket takes no more than 50.
ROWS = 25


class OperationPage(LoginRequiredMixin, TemplateView):
    http_method_names = ["get", "head"]
    template_name = "operation.html"

    @method_decorator(never_cache)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = signed_in(self.request)
        operation = found(user, kwargs["operation_id"])
        context = {
            "operation": operation,
            "agent": operation.agent,
            "host": operation.agent.host,
            "command": operation.command_line,
            "position": queue.positions([operation]).get(operation.pk),
            "log_after": max(0, operation.log.last_seq - LOG_LINES),
            "now": datetime.now(UTC),
            "asks_environment": not again.keeps_environment(operation),
        }
        return super().get_context_data(**context, **rights(user, operation), **kwargs)


def found(user: User, operation_id: UUID) -> Operation:
    try:
        return visible_operation(user, operation_id)
    except OperationNotFound as error:
        raise Http404(str(error)) from error


def rights(user: User, operation: Operation) -> dict[str, bool]:
    """What the page offers; where a request came from is for who made it, and for owners."""
    agents, agent = Agent.objects, operation.agent
    owns = agents.owned_by(user).contains(agent)
    return {
        "sees_agent": owns or agents.visible_to(user).contains(agent),
        "may_cancel": Operation.objects.cancelable_by(user).contains(operation),
        "may_run": owns or agents.operable_by(user).contains(agent),
        "sees_origin": owns or operation.requester_id == user.pk,
    }


class AgentOperations(AgentPage):
    part = "operations"

    def shown(self, agent: Agent, *, owns: bool) -> dict[str, Any]:
        status = self.request.GET.get("status", "")
        listed = agent.operations.select_related("requester").defer("environment")
        if status in Operation.Status.values:
            listed = listed.filter(status=status)
        page = Paginator(listed, ROWS).get_page(self.request.GET.get("page"))
        return {
            "page": page,
            "rows": rows(page),
            "statuses": Operation.Status.values,
            "status": status if status in Operation.Status.values else "",
        }


def rows(page: "Page[Operation]") -> list[dict[str, Any]]:
    operations = list(page)
    places = queue.positions(operations)
    return [{"operation": each, "position": places.get(each.pk)} for each in operations]


urlpatterns = [
    path("operations/<uuid:operation_id>", OperationPage.as_view(), name="operation"),
    path("agents/<str:name>/operations", AgentOperations.as_view(), name="agent-operations"),
]
