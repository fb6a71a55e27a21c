"""The pages a person sees, rendered from what is recorded; nothing here asks the engine."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from agents.access import visible_agent
from agents.errors import AgentNotFound
from agents.limits import CPU_CHOICES, MEMORY_CHOICES
from agents.models import Agent, Host
from trinity.models import AuditEvent, User

# What a page shows at first; the rest of a log is a download away.
LOG_LINES = 2000
OPERATIONS = 10
AUDIT_EVENTS = 20
# How the page's own form runs what is typed: shown again as it was typed.
SHELL = ["sh", "-c"]


def signed_in(request: HttpRequest) -> User:
    """The person behind a request that login_required let through."""
    if not isinstance(request.user, User):
        raise TypeError("This view is for signed-in people")
    return request.user


@never_cache
@require_safe
@login_required
def agents(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    context = {
        "agents": Agent.objects.for_list(user).visible_to(user).select_related("stats"),
        "host": Host.objects.filter(name="local").first(),
        "memory_choices": MEMORY_CHOICES,
        "cpu_choices": CPU_CHOICES,
        "images": settings.TRINITY_IMAGES,
    }
    return render(request, "agents.html", context)


@never_cache
@require_safe
@login_required
def agent(request: HttpRequest, name: str) -> HttpResponse:
    user = signed_in(request)
    try:
        found = visible_agent(user, name)
    except AgentNotFound as error:
        raise Http404(str(error)) from error
    return render(request, "agent.html", {"host": found.host, **agent_context(user, found)})


def agent_context(user: User, agent: Agent) -> dict[str, Any]:
    owns = Agent.objects.owned_by(user).contains(agent)
    return {
        "agent": agent,
        "may_operate": owns or Agent.objects.operable_by(user).contains(agent),
        "owns": owns,
        "log_after": max(0, agent.log.last_seq - LOG_LINES),
        "shell": SHELL,
        "operations": agent.operations.select_related("requester")[:OPERATIONS],
        "events": audit_events(agent) if owns else [],
    }


def audit_events(agent: Agent) -> Any:
    # A name is free again once its agent is deleted: what came before is another's history.
    events = AuditEvent.objects.filter(object_type="agent", object_name=agent.name)
    return events.filter(at__gte=agent.created_at)[:AUDIT_EVENTS]


class SignIn(LoginView):
    template_name = "sign_in.html"
    redirect_authenticated_user = True


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="agents"), name="home"),
    path("sign-in", SignIn.as_view(), name="sign-in"),
    path("sign-out", LogoutView.as_view(), name="sign-out"),
    path("agents", agents, name="agents"),
    path("agents/<str:name>", agent, name="agent"),
]
