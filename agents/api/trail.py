"""The audit trail: of one agent for those who own it, the whole for administrators."""

from django.urls import path
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access
from agents.trail import OWNERS_ONLY, events_of
from trinity.answers import answers
from trinity.api import ApiView
from trinity.audit_trail import (
    ORDER,
    EventObject,
    FilterShape,
    TrailShape,
    event_objects,
    filtered,
)
from trinity.identity import require_administrator, user_of
from trinity.models import AuditEvent, Scope
from trinity.pagination import page


class AgentAuditView(ApiView):
    @answers(list[EventObject], query=TrailShape)
    def get(self, request: Request, name: str) -> Response:
        query = self.query(TrailShape)
        agent = access.owned_agent(user_of(request), name, refusal=OWNERS_ONLY, scope=Scope.READ)
        return page(request, filtered(events_of(agent), query), query, event_objects, *ORDER)


class AuditView(ApiView):
    @answers(list[EventObject], query=TrailShape)
    def get(self, request: Request) -> Response:
        query = self.query(TrailShape)
        require_administrator(user_of(request), Scope.READ)
        events = filtered(AuditEvent.objects.all(), query)
        return page(request, events, query, event_objects, *ORDER)


class FileView(ApiView):
    @answers(str, media_type="text/csv", query=FilterShape)
    def get(self, request: Request, name: str = "") -> Response:
        """The same events as an attachment, one a line."""
        raise MethodNotAllowed("GET")  # Never here: ``agents.trail`` answers it.


urlpatterns = [
    path("api/audit", AuditView.as_view()),
    path("api/audit.csv", FileView.as_view()),
    path("api/agents/<str:name>/audit", AgentAuditView.as_view()),
    path("api/agents/<str:name>/audit.csv", FileView.as_view()),
]
