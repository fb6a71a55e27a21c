"""The operators' console for people, their tokens and the audit trail."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldBooleanSwitchWidget

from trinity import audit
from trinity.identity import actor_of
from trinity.models import ApiToken, AuditEvent, User

# Rights come from owning and sharing agents, so groups would say nothing.
admin.site.unregister(Group)


def environment(_request: HttpRequest) -> list[str] | None:
    """Return what every page of the admin warns of."""
    if settings.TRINITY_ACCEPT_ZERO_SIGNATURE:
        return ["Zero signatures are accepted", "danger"]
    return None


class EmailVerified(forms.BooleanField):
    """An administrator's word for it: the product sends no mail."""

    def __init__(self, *, initial: bool) -> None:
        super().__init__(
            required=False,
            initial=initial,
            label="E-mail address verified",
            help_text="You know that the address is this person's. What is shared with an "
            "address reaches only the person for whom it is verified. A new address is not.",
            widget=UnfoldBooleanSwitchWidget(),
        )


class NewPersonForm(UserCreationForm):  # type: ignore[misc]  # unfold ships no types
    # Who makes an account for somebody knows whose address he types; nobody signs up himself.
    email_verified = EmailVerified(initial=True)


class PersonForm(UserChangeForm):  # type: ignore[misc]  # as above
    email_verified = EmailVerified(initial=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["email_verified"] = self.instance.email_verified_at is not None


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]  # see ReadOnlyAdmin
    form = PersonForm
    add_form = NewPersonForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "first_name", "last_name", "is_superuser", "is_active"]
    list_filter = ["is_superuser", "is_staff", "is_active"]
    filter_horizontal = []
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email", "email_verified"]}),
        ("Rights", {"fields": ["is_active", "is_staff", "is_superuser"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": [
                    "username",
                    "email",
                    "email_verified",
                    "usable_password",
                    "password1",
                    "password2",
                ],
            },
        ),
    ]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change or "email_verified" in form.changed_data:
            is_verified = form.cleaned_data["email_verified"]
            obj.email_verified_at = timezone.now() if is_verified else None
        obj.save()
        if change and "email" in form.changed_data:
            text = "The address is new: mark it as verified when you know that it is this person's."
            self.message_user(request, text, messages.WARNING)

    # Each change of a person's account is told to the audit trail too.

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        entry = super().log_addition(request, obj, message)
        return self._recorded(request, "create", obj, entry)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        return self._recorded(request, "change", obj, super().log_change(request, obj, message))

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[User]) -> Any:
        for user in queryset:
            audit.record(actor_of(request), "delete", "user", user.get_username())
        return super().log_deletions(request, queryset)

    @staticmethod
    def _recorded(request: HttpRequest, verb: str, user: User, entry: LogEntry) -> LogEntry:
        detail = entry.get_change_message()
        audit.record(actor_of(request), verb, "user", user.get_username(), detail=detail)
        return entry


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Shows rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Deleting a token revokes it at once."""

    list_display = ["name", "prefix", "user", "may", "created_at", "expires_at", "last_used_at"]
    list_select_related = ["user"]
    search_fields = ["name", "prefix", "user__username"]
    fields = ["name", "prefix", "user", "may", "created_at", "expires_at", "last_used_at"]
    readonly_fields = fields

    @admin.display(description="limited to")
    def may(self, token: ApiToken) -> str:
        agents = [agent["name"] for agent in token.agents or []]
        return ", ".join([*(token.scopes or []), *agents]) or "all that the user may"

    def delete_model(self, request: HttpRequest, token: ApiToken) -> None:
        audit.record(actor_of(request), "delete", "token", token.name)
        token.delete()

    def delete_queryset(self, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
        for token in tokens:
            self.delete_model(request, token)


EXPORTED = {"outcome__exact": "outcome", "object_type": "object_type"}


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor_name", "verb", "object_type", "object_name", "outcome", "detail"]
    list_filter = ["outcome", "object_type"]
    search_fields = ["actor_name", "verb", "object_name"]
    date_hierarchy = "at"
    list_before_template = "admin/trinity/audit_export.html"
    # Counting all of a table that only grows would take longer than the page.
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        # The file has the filters that stand beside the list; the rest is the API's.
        shown = {name: request.GET.get(column) for column, name in EXPORTED.items()}
        query = urlencode({name: value for name, value in shown.items() if value})
        context = {**(extra_context or {}), "export_query": query}
        return super().changelist_view(request, context)
