"""The admin's forms for whom an agent is shared with and who owns it; ``agents.sharing`` acts."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminSelectWidget

from agents import sharing
from agents.models import Agent, Share
from trinity.audit import Actor
from trinity.errors import TrinityError
from trinity.identity import actor_of
from trinity.models import User


class ShareForm(forms.ModelForm):  # type: ignore[type-arg]  # no subscript at run time
    """One share: another address is another share, so the address of one stays."""

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._actor = actor
        self.fields["email"].disabled = self.instance.pk is not None

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        if "email" in cleaned:
            try:
                self._check(cleaned["email"], cleaned.get("expires_at"))
            except TrinityError as error:
                raise forms.ValidationError(str(error)) from error
        return cleaned

    def _check(self, email: str, expires_at: Any) -> None:
        if self.instance.pk is None:
            sharing.check(self.instance.agent, self._actor, email, expires_at)
        else:
            sharing.check_end(expires_at)

    def validate_constraints(self) -> None:
        """``clean`` has looked: a share that has expired may be replaced."""


class ShareFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # as above
    actor: Actor

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "actor": self.actor}


class ShareInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    model = Share
    form = ShareForm
    fields = ["email", "role", "expires_at"]
    extra = 0
    verbose_name_plural = "shared with"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Share]:
        return Share.objects.unexpired().order_by("-created_at", "-pk")

    def get_formset(self, request: HttpRequest, obj: Agent | None = None, **kwargs: Any) -> Any:
        kwargs["formset"] = type("Shares", (ShareFormSet,), {"actor": actor_of(request)})
        return super().get_formset(request, obj, **kwargs)

    def has_view_permission(self, request: HttpRequest, obj: Agent | None = None) -> bool:
        return obj is not None and Agent.objects.owned_by(request.user).contains(obj)

    has_change_permission = has_delete_permission = has_add_permission = has_view_permission


def save_shares(agent: Agent, actor: Actor, formset: Any) -> None:
    formset.save(commit=False)
    for share in formset.deleted_objects:
        sharing.unshare(agent, actor, share.email)
    for share, _fields in formset.changed_objects:
        sharing.change(agent, actor, share.email, role=share.role, expires_at=share.expires_at)
    for share in formset.new_objects:
        sharing.share(agent, actor, share.email, role=share.role, expires_at=share.expires_at)


class NewOwnerForm(forms.Form):
    owner = forms.ModelChoiceField(
        User.objects.filter(is_active=True).order_by("username"),
        label="New owner",
        widget=UnfoldAdminSelectWidget,
    )
