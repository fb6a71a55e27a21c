"""Grants in the operators' console, where administrators make and end them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget

from operations.grant_models import Grant
from trinity import audit
from trinity.identity import actor_of


class LinesField(forms.CharField):
    """A list of texts as people write it: one in a line."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return (super().to_python(value) or "").split()


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]  # no subscript at run time
    signers = LinesField(help_text=Grant._meta.get_field("signers").help_text)  # noqa: SLF001  # public


@admin.register(Grant)
class GrantAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    form = GrantForm
    list_display = ["permission_id", "description", "agent", "is_enabled", "valid_until"]
    list_filter = ["is_enabled", "valid_until"]
    list_select_related = ["agent"]
    search_fields = ["=permission_id", "description", "agent__name"]
    fields = ["permission_id", "description", "agent", "command", "prompt", "parameters"]
    fields += ["signers", "valid_until", "is_enabled", "allows_repeats", "timeout_seconds"]

    def get_readonly_fields(self, request: HttpRequest, obj: Grant | None = None) -> list[str]:
        # Callers have signed texts that name the one and mean the other.
        return ["permission_id", "agent"] if obj else []

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = actor_of(request).user
        obj.save()
        verb, name = "change" if change else "create", str(obj.permission_id)
        audit.record(actor_of(request), verb, "grant", name, detail=_told(form))

    def delete_model(self, request: HttpRequest, grant: Grant) -> None:
        audit.record(actor_of(request), "delete", "grant", str(grant.permission_id))
        grant.delete()

    def delete_queryset(self, request: HttpRequest, grants: QuerySet[Grant]) -> None:
        for grant in grants:
            self.delete_model(request, grant)


def _told(form: Any) -> str:
    return ", ".join(f"{name}: {form.cleaned_data[name]}" for name in form.changed_data)
