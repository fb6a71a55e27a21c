"""Operations in the operators' console: to look at, to cancel, and to run again."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from agents.admin.agents import LIVE, UNKNOWN, live_log, pill
from agents.models import Agent
from operations import again, requests
from operations.grant_admin import GrantAdmin
from operations.models import Operation
from trinity import audit
from trinity.admin import ReadOnlyAdmin
from trinity.audit import Actor
from trinity.errors import TrinityError
from trinity.identity import actor_of

# What the admin looks for here is registered there.
__all__ = ["GrantAdmin", "OperationAdmin"]

COMMAND_SHOWN = 100


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["short_command", "state", "of_agent", "asked_by", "runs_in", "took"]
    list_display += ["created_at", "page"]
    list_display_links = ["short_command"]
    list_filter = [
        "status",
        "error",
        "is_isolated",
        "created_at",
        ("agent", admin.RelatedOnlyFieldListFilter),
        ("requester", admin.RelatedOnlyFieldListFilter),
    ]
    search_fields = ["=id", "agent__name", "requester__username", "signer", "summary"]
    actions = ["cancel", "run_again"]
    # Counting all of a table that grows all the time would take longer than the page.
    show_full_result_count = False
    facts = ["id", "page", "whole_command", "live_state", "live_summary", "of_agent"]
    facts += ["runs_in", "workdir", "timeout_seconds", "created_at", "started_at"]
    facts += ["finished_at", "took", "artifact_count"]
    origin = ["requester", "requested_from", "token_name", "grant", "signer"]
    readonly_fields = [*facts, *origin, "live_log"]
    fieldsets = [
        (None, {"fields": facts}),
        ("Asked for by", {"fields": origin}),
        ("Log", {"fields": ["live_log"]}),
    ]

    @property
    def media(self) -> Any:
        return super().media + LIVE

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        visible = Operation.objects.visible_to(request.user)
        return visible.select_related("agent__host", "requester", "grant").defer("environment")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        return bool(request.user.is_staff)

    def has_delete_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Operation | None = None) -> Any:
        """Where it came from is for who asked for it, and for the agent's owners."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or obj.requester == request.user:
            return fieldsets
        if Agent.objects.owned_by(request.user).contains(obj.agent):
            return fieldsets
        shown = [name for name in self.origin if name not in {"requested_from", "token_name"}]
        return [
            (title, {"fields": shown} if title == "Asked for by" else each)
            for title, each in fieldsets
        ]

    # Columns and fields

    @admin.display(description="command")
    def short_command(self, operation: Operation) -> str:
        return Truncator(operation.command_line).chars(COMMAND_SHOWN)

    @admin.display(description="command")
    def whole_command(self, operation: Operation) -> str:
        return operation.command_line

    @admin.display(description="asked for by", ordering="requester__username")
    def asked_by(self, operation: Operation) -> str:
        return str(operation.requester or operation.signer or UNKNOWN)

    @admin.display(description="state", ordering="status")
    def state(self, operation: Operation) -> SafeString:
        return format_html("{} {}", pill(operation.status), operation.outcome)

    @admin.display(description="state")
    def live_state(self, operation: Operation) -> SafeString:
        status = pill(operation.status, operation=str(operation))
        return format_html("{} {}", status, _live(operation, "outcome", operation.outcome))

    @admin.display(description="summary")
    def live_summary(self, operation: Operation) -> SafeString:
        return _live(operation, "summary", operation.summary)

    @admin.display(description="agent", ordering="agent__name")
    def of_agent(self, operation: Operation) -> SafeString:
        name = operation.agent.name
        return _link(reverse("agent-overview", args=[name]), name)

    @admin.display(description="page")
    def page(self, operation: Operation) -> SafeString:
        return _link(reverse("operation", args=[operation.pk]), "Open")

    @admin.display(description="runs in", ordering="is_isolated")
    def runs_in(self, operation: Operation) -> str:
        return "its own container" if operation.is_isolated else "the agent"

    @admin.display(description="took")
    def took(self, operation: Operation) -> str:
        if not operation.started_at or not operation.finished_at:
            return UNKNOWN
        seconds = (operation.finished_at - operation.started_at).total_seconds()
        figure = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
        return figure.replace(" ", "\N{NO-BREAK SPACE}")

    @admin.display(description="log")
    def live_log(self, operation: Operation) -> SafeString:
        download = f"/api/v1/operations/{operation}/logs/download"
        return live_log(operation.log_id, f"operation:{operation}:logs", download=download)

    # Actions

    @admin.action(description="Cancel")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        allowed = Operation.objects.cancelable_by(request.user)
        self._each(request, queryset, allowed, _cancel)

    @admin.action(description="Run again")
    def run_again(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        """Each with the same request, by who runs it now."""
        operable = Agent.objects.operable_by(request.user)
        self._each(request, queryset, queryset.filter(agent__in=operable), _run_again)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Operation],
        allowed: QuerySet[Operation],
        act: Callable[[Operation, Actor], SafeString | str],
    ) -> None:
        within = set(allowed.filter(pk__in=queryset.values("pk")).values_list("pk", flat=True))
        actor = actor_of(request)
        for operation in queryset:
            if operation.pk not in within:
                audit.record_denial(actor, request.POST["action"], "operation", str(operation))
                told = f"{operation}: you may not do this to it"
                self.message_user(request, told, messages.ERROR)
                continue
            try:
                self.message_user(request, act(operation, actor), messages.SUCCESS)
            except TrinityError as error:
                self.message_user(request, f"{operation}: {error}", messages.ERROR)


def _live(operation: Operation, shows: str, text: str) -> SafeString:
    span = '<span data-operation="{}" data-shows="{}">{}</span>'
    return format_html(span, operation, shows, text)


def _link(url: str, text: str) -> SafeString:
    return format_html('<a class="linked" href="{}">{}</a>', url, text)


def _cancel(operation: Operation, actor: Actor) -> str:
    requests.cancel(operation, actor)
    return f"{operation} is being canceled"


def _run_again(operation: Operation, actor: Actor) -> SafeString:
    made = again.run_again(operation, actor)
    url = reverse("operation", args=[made.pk])
    return format_html('{} runs again as <a href="{}">{}</a>', operation, url, made)
