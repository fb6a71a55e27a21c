"""The pages a person sees, rendered from what is recorded; nothing here asks the engine."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView, TemplateView

from agents import recreation, templates
from agents.access import owned_agent, visible_agent
from agents.errors import AgentNotFound
from agents.limits import CPU_CHOICES, DISK_CHOICES, MEMORY_CHOICES
from agents.models import Agent, Host
from agents.trail import events_of
from trinity.errors import Forbidden
from trinity.identity import user_of
from trinity.models import User

# What a page shows at first; the rest of a log is a download away.
LOG_LINES = 2000
OPERATIONS = 10
AUDIT_EVENTS = 100


#: In the order of their tabs; operations show theirs themselves.
PARTS = ("overview", "operations", "files", "git", "history", "settings")
FOR_OWNERS = {"settings"}


def link(agent: Agent, part: str) -> dict[str, str]:
    url = reverse(f"agent-{part}", args=[agent.name])
    return {"name": part, "title": part.title(), "url": url}


def signed_in(request: HttpRequest) -> User:
    """The person behind a request that login_required let through."""
    return user_of(request)


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
        "templates": templates.all_templates(),
        "default_template": templates.DEFAULT,
    }
    return render(request, "agents.html", context)


class AgentPage(LoginRequiredMixin, TemplateView):
    """One part of what there is to see of an agent; all of them have its heading."""

    http_method_names = ["get", "head"]
    #: One of PARTS; also its name in the URL conf, after ``agent-``.
    part = ""

    @method_decorator(never_cache)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return super().dispatch(request, *args, **kwargs)

    def get_template_names(self) -> list[str]:
        return [f"agent/{self.part}.html"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = signed_in(self.request)
        owners_only = self.part in FOR_OWNERS
        try:
            agent = (owned_agent if owners_only else visible_agent)(user, kwargs["name"])
        except AgentNotFound as error:
            raise Http404(str(error)) from error
        except Forbidden as error:
            raise PermissionDenied(str(error)) from error
        owns = owners_only or Agent.objects.owned_by(user).contains(agent)
        heading = {
            "agent": agent,
            "host": agent.host,
            "recreate_needed": recreation.is_needed(agent),
            "owns": owns,
            "may_operate": owns or Agent.objects.operable_by(user).contains(agent),
            "parts": [link(agent, part) for part in PARTS if owns or part not in FOR_OWNERS],
            "current": self.part,
        }
        return super().get_context_data(**heading, **self.shown(agent, owns=owns), **kwargs)

    def shown(self, agent: Agent, *, owns: bool) -> dict[str, Any]:
        """What this part shows besides the heading."""
        return {}


class Overview(AgentPage):
    part = "overview"

    def shown(self, agent: Agent, *, owns: bool) -> dict[str, Any]:
        return {
            "log_after": max(0, agent.log.last_seq - LOG_LINES),
            "operations": agent.operations.select_related("requester")[:OPERATIONS],
        }


class Files(AgentPage):
    part = "files"


class Git(AgentPage):
    part = "git"


class History(AgentPage):
    part = "history"

    def shown(self, agent: Agent, *, owns: bool) -> dict[str, Any]:
        return {"events": events_of(agent)[:AUDIT_EVENTS] if owns else []}


class Settings(AgentPage):
    part = "settings"

    def shown(self, agent: Agent, *, owns: bool) -> dict[str, Any]:
        return {
            "memory_choices": MEMORY_CHOICES,
            "cpu_choices": CPU_CHOICES,
            "disk_choices": DISK_CHOICES,
            "keep_days": settings.TRINITY_KEEP_WORKSPACES_DAYS,
        }


class SignIn(LoginView):
    template_name = "sign_in.html"
    redirect_authenticated_user = True


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="agents"), name="home"),
    path("sign-in", SignIn.as_view(), name="sign-in"),
    path("sign-out", LogoutView.as_view(), name="sign-out"),
    path("agents", agents, name="agents"),
    path("agents/<str:name>", Overview.as_view(), name="agent-overview"),
    path("agents/<str:name>/files", Files.as_view(), name="agent-files"),
    path("agents/<str:name>/git", Git.as_view(), name="agent-git"),
    path("agents/<str:name>/history", History.as_view(), name="agent-history"),
    path("agents/<str:name>/settings", Settings.as_view(), name="agent-settings"),
]
