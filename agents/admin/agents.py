"""The operators' console: agents with their shares, and the host that carries them."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from agents import lifecycle, network, sharing
from agents.admin.environment import EnvironmentInline, save_environment
from agents.admin.forms import AgentForm, NewAgentForm, new_agent
from agents.admin.network import (
    accept_unguarded_networks,
    guard_of,
    refuse_unguarded_networks,
)
from agents.admin.remains import AdministratorsAdmin, RemainsForm, take_control
from agents.admin.sharing import NewOwnerForm, ShareInline, save_shares
from agents.models import Agent, EnvironmentValue, Host
from agents.output import logs
from agents.runtime import Network
from trinity import audit
from trinity.audit import Actor
from trinity.errors import TrinityError
from trinity.identity import actor_of

# Each may wait ten seconds for a container to stop, so many are done side by side.
AT_ONCE = 8
# Of a log, what is shown at first.
LOG_LINES = 500
UNKNOWN = "\N{EN DASH}"

Verb = Callable[[Agent, Actor], None]
Asked = HttpRequest


LOOKS = forms.Media(css={"all": ["css/admin.css", "css/log.css"]})
#: Keeps what is marked as an agent's, an operation's or a log's as it is now, by one WebSocket.
LIVE = LOOKS + forms.Media(
    js=[forms.Script("js/admin_live.js", type="module")],  # type: ignore[list-item]  # since 5.2
)


def pill(status: str, *, agent: str = "", operation: str = "") -> SafeString:
    """``agent`` or ``operation``: whose status it is, for the page to follow."""
    kind, whose = ("agent", agent) if agent else ("operation", operation)
    mark = format_html(' data-{}="{}" data-shows="status"', kind, whose) if whose else ""
    return format_html('<span class="pill" data-status="{}"{}>{}</span>', status, mark, status)


def live_text(agent: Agent, shows: str, text: str) -> SafeString:
    return format_html('<span data-agent="{}" data-shows="{}">{}</span>', agent.name, shows, text)


def live_log(log_id: int, topic: str, *, download: str) -> SafeString:
    """The end of a log, and what comes after it while one watches."""
    after = max(0, logs.last_seq(log_id) - LOG_LINES)
    context = {"topic": topic, "after": after, "download": download}
    return render_to_string("admin/_live_log.html", context)


@admin.register(Agent)
class AgentAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    form = AgentForm
    list_display = [
        "name",
        "state",
        "owner",
        "image",
        "limits",
        "cpu_now",
        "memory_now",
        "created_at",
    ]
    list_filter = ["status", ("owner", admin.RelatedOnlyFieldListFilter), "image", "is_system"]
    search_fields = ["name", "description", "owner__username", "owner__email"]
    actions = ["start", "stop", "restart", "transfer_agents", "delete_agents"]
    inlines = [ShareInline, EnvironmentInline]
    delete_confirmation_template = "admin/agents/delete_agent.html"
    new_fields = ["name", "owner", "template", "type", "description", "tags", "image"]
    new_fields += ["memory_limit", "cpu_limit", "github_repo"]
    editable_fields = ["type", "description", "tags"]
    facts = ["name", "state", "page", "owner", "is_system", "template", "image", "limits"]
    facts += ["applied"]
    facts += ["cpu_now", "memory_now", "container_id", "generation", "repository", "created_at"]

    @property
    def media(self) -> Any:
        return super().media + LIVE

    # Who may do what

    def get_queryset(self, request: Asked) -> QuerySet[Agent]:
        visible = Agent.objects.for_list(request.user).visible_to(request.user)
        return visible.select_related("stats").order_by("name")

    def has_module_permission(self, request: Asked) -> bool:
        return bool(request.user.is_staff)

    def has_view_permission(self, request: Asked, obj: Agent | None = None) -> bool:
        return bool(request.user.is_staff)

    def has_add_permission(self, request: Asked) -> bool:
        return bool(request.user.is_staff)

    def has_change_permission(self, request: Asked, obj: Agent | None = None) -> bool:
        if obj is None:
            return bool(request.user.is_staff)
        return Agent.objects.owned_by(request.user).contains(obj)

    def has_delete_permission(self, request: Asked, obj: Agent | None = None) -> bool:
        return self.has_change_permission(request, obj) and not (obj and obj.is_system)

    # Columns and fields

    @admin.display(description="status", ordering="status")
    def state(self, agent: Agent) -> SafeString:
        reason = live_text(agent, "reason", agent.status_reason)
        return format_html("{} {}", pill(agent.status, agent=agent.name), reason)

    @admin.display(description="limits")
    def limits(self, agent: Agent) -> str:
        return f"{agent.cpu} CPU, {agent.memory}"

    @admin.display(description="applied limits")
    def applied(self, agent: Agent) -> str:
        if agent.applied_memory_bytes is None:
            return UNKNOWN
        return f"{agent.applied_cpus:g} CPU, {filesizeformat(agent.applied_memory_bytes)}"

    @admin.display(description="CPU now", ordering="stats__cpu_percent")
    def cpu_now(self, agent: Agent) -> SafeString:
        share = current(agent, "cpu_percent")
        return live_text(
            agent, "cpu", UNKNOWN if share is None else f"{share:.1f}\N{NO-BREAK SPACE}%"
        )

    @admin.display(description="memory now", ordering="stats__memory_used_bytes")
    def memory_now(self, agent: Agent) -> SafeString:
        used = current(agent, "memory_used_bytes")
        return live_text(agent, "memory", UNKNOWN if used is None else filesizeformat(used))

    @admin.display(description="git repository")
    def repository(self, agent: Agent) -> str:
        return str(agent.git) if hasattr(agent, "git") else UNKNOWN

    @admin.display(description="live page")
    def page(self, agent: Agent) -> SafeString:
        return format_html(
            '<a href="{}">Log and charts, live</a>', reverse("agent-overview", args=[agent.name])
        )

    @admin.display(description="log")
    def live_log(self, agent: Agent) -> SafeString:
        download = f"/api/agents/{agent.name}/logs/download"
        return live_log(agent.log_id, f"agent:{agent.name}:logs", download=download)

    # Forms

    def get_fieldsets(self, request: Asked, obj: Agent | None = None) -> Any:
        if obj is None:
            # An administrator may make an agent for somebody else.
            hidden = set() if request.user.is_superuser else {"owner"}
            return [(None, {"fields": [name for name in self.new_fields if name not in hidden]})]
        return [
            (None, {"fields": [*self.facts[:3], *self.editable_fields, "network"]}),
            ("Facts", {"fields": self.facts[3:]}),
            ("Log", {"fields": ["live_log"]}),
        ]

    def get_readonly_fields(self, request: Asked, obj: Agent | None = None) -> list[str]:
        fixed = [] if request.user.is_superuser else ["network"]
        return [*self.facts, "live_log", *fixed] if obj else []

    def get_form(self, request: Asked, obj: Agent | None = None, **kwargs: Any) -> Any:
        if obj is None:
            refusal = getattr(request, "refusal", "")
            kwargs["form"] = type("NewAgentForm", (NewAgentForm,), {"refusal": refusal})
        return super().get_form(request, obj, **kwargs)

    def get_changeform_initial_data(self, request: Asked) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def get_inlines(self, request: Asked, obj: Agent | None) -> list[Any]:
        return self.inlines if obj else []

    def changeform_view(
        self,
        request: Asked,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        view = super().changeform_view
        if object_id is None and request.method == "POST":
            # Django's own view holds a transaction around it all; creating waits for the
            # engine, and its intent must be committed before it acts.
            view = self._changeform_view
        try:
            return view(request, object_id, form_url, extra_context)
        except TrinityError as error:
            request.refusal = str(error)  # type: ignore[attr-defined]  # read by get_form
            return view(request, object_id, form_url, extra_context)

    def save_model(self, request: Asked, obj: Agent, form: Any, change: bool) -> None:
        if change:
            # The other columns are the supervisor's.
            obj.save(update_fields=self.editable_fields)
            audit.record(actor_of(request), "update", "agent", obj.name)
            if "network" in form.changed_data:
                network.choose(obj, actor_of(request), Network(obj.network))
        else:
            created = lifecycle.create(actor_of(request), new_agent(request, form.cleaned_data))
            obj.pk = created.pk
            obj.refresh_from_db()

    def save_formset(self, request: Asked, form: Any, formset: Any, change: bool) -> None:
        save = save_environment if formset.model is EnvironmentValue else save_shares
        save(form.instance, actor_of(request), formset)

    # Deleting goes through the lifecycle, which also removes what is on the engine

    def delete_view(
        self, request: Asked, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        try:
            # Without the transaction of Django's own view: see changeform_view.
            return self._delete_view(request, object_id, {"form": RemainsForm()})
        except TrinityError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:agents_agent_changelist"))

    def delete_model(self, request: Asked, obj: Agent) -> None:
        lifecycle.delete(obj, actor_of(request), RemainsForm(request.POST).keep())

    def get_deleted_objects(self, objs: Iterable[Agent], request: Asked) -> Any:
        # Operations and stats go with their agent: nobody needs a permission of their own for them.
        return [str(agent) for agent in objs], {}, set(), []

    def log_deletions(self, request: Asked, queryset: QuerySet[Agent]) -> list[Any]:
        # Django would note it before it is tried; the audit trail tells how it ended.
        return []

    # Actions on many

    def get_actions(self, request: Asked) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    @admin.action(description="Start")
    def start(self, request: Asked, queryset: QuerySet[Agent]) -> None:
        self._operate(request, queryset, lifecycle.start, "Started")

    @admin.action(description="Stop")
    def stop(self, request: Asked, queryset: QuerySet[Agent]) -> None:
        self._operate(request, queryset, lifecycle.stop, "Stopped")

    @admin.action(description="Restart")
    def restart(self, request: Asked, queryset: QuerySet[Agent]) -> None:
        self._operate(request, queryset, lifecycle.restart, "Restarted")

    @admin.action(description="Delete…")
    def delete_agents(self, request: Asked, queryset: QuerySet[Agent]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self._ask(request, queryset, "delete_agents", form=RemainsForm())
        permitted = Agent.objects.owned_by(request.user)
        delete = partial(lifecycle.delete, keep=RemainsForm(request.POST).keep())
        self._perform(request, queryset, delete, "Deleted", permitted)
        return None

    def has_transfer_permission(self, request: Asked) -> bool:
        return bool(request.user.is_superuser)

    @admin.action(description="Transfer…", permissions=["transfer"])
    def transfer_agents(self, request: Asked, queryset: QuerySet[Agent]) -> HttpResponse | None:
        form = NewOwnerForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._ask(request, queryset, "transfer_agents", form=form)
        transfer = partial(sharing.transfer, new_owner=form.cleaned_data["owner"])
        self._perform(request, queryset, transfer, "Transferred", Agent.objects.present())
        return None

    def _ask(
        self, request: Asked, queryset: QuerySet[Agent], action: str, **context: Any
    ) -> HttpResponse:
        context |= {
            **self.admin_site.each_context(request),
            "title": action.replace("_", " ").capitalize(),
            "agents": queryset,
            "opts": self.opts,
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, f"admin/agents/{action}.html", context)

    def _operate(self, request: Asked, queryset: QuerySet[Agent], verb: Verb, done: str) -> None:
        self._perform(request, queryset, verb, done, Agent.objects.operable_by(request.user))

    def _perform(
        self,
        request: Asked,
        queryset: QuerySet[Agent],
        verb: Verb,
        done: str,
        permitted: QuerySet[Agent],
    ) -> None:
        within = permitted.filter(pk__in=queryset.values("pk"))
        allowed = set(within.values_list("pk", flat=True))
        agents = [agent for agent in queryset if agent.pk in allowed]
        # Told apart before: one that has been deleted has no key any more.
        refused = [agent.name for agent in queryset if agent.pk not in allowed]
        actor = actor_of(request)
        outcomes = attempt_each(verb, actor, agents)
        for name in refused:
            audit.record_denial(actor, request.POST["action"], "agent", name)
            outcomes.append((name, "you may not do this to it"))
        if succeeded := [name for name, problem in outcomes if not problem]:
            self.message_user(request, f"{done} {', '.join(succeeded)}.", messages.SUCCESS)
        for name, problem in outcomes:
            if problem:
                self.message_user(request, f"{name}: {problem}", messages.ERROR)


def current(agent: Agent, figure: str) -> Any:
    """A figure of the last sample, if it still says something."""
    stats = getattr(agent, "stats", None)
    return getattr(stats, figure) if stats and agent.status == Agent.Status.RUNNING else None


def attempt_each(verb: Verb, actor: Actor, agents: list[Agent]) -> list[tuple[str, str]]:
    """Do it to all of them, whatever becomes of one; return each name with what went wrong."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(partial(_attempt, verb, actor), agents))


def _attempt(verb: Verb, actor: Actor, agent: Agent) -> tuple[str, str]:
    try:
        verb(agent, actor)
    except TrinityError as error:
        return agent.name, str(error)
    finally:
        # This thread ends with the action, and nobody else would close its connection.
        connections.close_all()
    return agent.name, ""


@admin.register(Host)
class HostAdmin(AdministratorsAdmin):
    """What is known of the engine; nothing here is for people to write."""

    list_display = ["name", "engine", guard_of, "cpus", "memory", "lease_holder"]
    list_display += ["lease_expires_at"]
    fields = ["name", "engine", guard_of, "instance", "engine_id", "cpus", "memory"]
    fields += ["lease_holder", "lease_epoch", "lease_expires_at"]
    readonly_fields = fields
    actions = [accept_unguarded_networks, refuse_unguarded_networks, take_control]

    @property
    def media(self) -> Any:
        return super().media + LOOKS

    @admin.display(description="engine")
    def engine(self, host: Host) -> SafeString:
        if host.away_since:
            since = f"since {host.away_since:%Y-%m-%d %H:%M} UTC: {host.away_reason}"
            return format_html("{} {}", pill("away"), since)
        if host.report_only_since:
            return format_html("{} {}", pill("report only"), host.report_only_reason)
        return pill("here" if host.engine_id else "unknown")

    @admin.display(description="memory")
    def memory(self, host: Host) -> str:
        return filesizeformat(host.memory_bytes) if host.memory_bytes else UNKNOWN
