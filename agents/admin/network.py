"""Actions of the admin on hosts whose agents' networks cannot be guarded."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents import network
from agents.models import Host
from trinity.identity import actor_of


@admin.action(description="Accept the risk of networks without a guard")
def accept_unguarded_networks(
    model_admin: Any, request: HttpRequest, queryset: QuerySet[Host]
) -> None:
    for host in queryset:
        network.accept_risk(host, actor_of(request))
        text = f"{host}: agents get networks without a guard too, from their next start on."
        model_admin.message_user(request, text, messages.WARNING)


@admin.action(description="Refuse networks without a guard")
def refuse_unguarded_networks(
    model_admin: Any, request: HttpRequest, queryset: QuerySet[Host]
) -> None:
    for host in queryset:
        network.withdraw_risk(host, actor_of(request))
        text = f"{host}: agents get no unguarded network any more, from their next start on."
        model_admin.message_user(request, text, messages.SUCCESS)


@admin.display(description="agents' networks")
def guard_of(host: Host) -> SafeString:
    return format_html("{}", host.network_notice or "guarded")
