"""Operations in the operators' console: to look at, and to cancel."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents import live
from agents.admin.agents import LOOKS, UNKNOWN, last_lines, pill
from operations.errors import Finished
from operations.grant_admin import GrantAdmin
from operations.models import Operation
from trinity import audit
from trinity.admin import ReadOnlyAdmin
from trinity.identity import actor_of

# What the admin looks for here is registered there.
__all__ = ["GrantAdmin", "OperationAdmin"]


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = [
        "command_line",
        "state",
        "of_agent",
        "asked_by",
        "exit_code",
        "took",
        "created_at",
    ]
    list_display_links = ["command_line"]
    list_filter = ["status", "error", "created_at"]
    search_fields = ["=id", "agent__name", "requester__username", "signer", "summary"]
    actions = ["cancel"]
    fields = ["id", "command_line", "state", "summary", "exit_code", "of_agent", "requester"]
    fields += ["workdir", "timeout_seconds", "created_at", "started_at", "finished_at", "took"]
    fields += ["grant", "signer", "log_tail"]
    readonly_fields = fields

    @property
    def media(self) -> Any:
        return super().media + LOOKS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        visible = Operation.objects.visible_to(request.user)
        return visible.select_related("agent", "requester", "grant").defer("environment")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        return bool(request.user.is_staff)

    def has_delete_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        return False

    @admin.display(description="command")
    def command_line(self, operation: Operation) -> str:
        return " ".join(operation.command)

    @admin.display(description="asked for by", ordering="requester__username")
    def asked_by(self, operation: Operation) -> str:
        return str(operation.requester or operation.signer or UNKNOWN)

    @admin.display(description="state", ordering="status")
    def state(self, operation: Operation) -> SafeString:
        return format_html("{} {}", pill(operation.status), operation.get_error_display())

    @admin.display(description="agent", ordering="agent__name")
    def of_agent(self, operation: Operation) -> SafeString:
        name = operation.agent.name
        return format_html('<a href="{}">{}</a>', reverse("agent-overview", args=[name]), name)

    @admin.display(description="took")
    def took(self, operation: Operation) -> str:
        if not operation.started_at or not operation.finished_at:
            return UNKNOWN
        return f"{(operation.finished_at - operation.started_at).total_seconds():.1f} s"

    @admin.display(description="last lines of the log")
    def log_tail(self, operation: Operation) -> SafeString:
        return last_lines(operation.log_id)

    @admin.action(description="Cancel")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        cancelable = set(
            Operation.objects.cancelable_by(request.user)
            .filter(pk__in=queryset.values("pk"))
            .values_list("pk", flat=True)
        )
        for operation in queryset:
            self._cancel(request, operation, allowed=operation.pk in cancelable)
        live.wake_supervisor()

    def _cancel(self, request: HttpRequest, operation: Operation, *, allowed: bool) -> None:
        if not allowed:
            self.message_user(request, f"{operation}: you may not cancel it", messages.ERROR)
            return
        try:
            with audit.recorded(actor_of(request), "cancel", "operation", str(operation)):
                operation.request_cancel()
        except Finished:
            self.message_user(request, f"{operation} has ended already", messages.WARNING)
        else:
            self.message_user(request, f"{operation} is being canceled", messages.SUCCESS)
