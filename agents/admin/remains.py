"""The operators' console for what deleted agents left, and for what was found on the engine."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.timesince import timeuntil
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import control, found, restoring, retention
from agents.models import Found, Host, RetainedWorkspace
from agents.retention import Keep
from trinity.admin import ReadOnlyAdmin
from trinity.errors import TrinityError
from trinity.identity import actor_of
from trinity.models import User

KEEP, REMOVE = "keep", "remove"


def kept_for() -> list[tuple[str, str]]:
    days = settings.TRINITY_KEEP_WORKSPACES_DAYS
    until = f"keep for {days} days" if days else "keep (set to 0 days: nothing is kept)"
    return [(KEEP, until), (REMOVE, "remove now")]


class RemainsForm(forms.Form):
    """What becomes of the workspace and the log of agents that are deleted."""

    workspace = forms.ChoiceField(
        choices=kept_for, required=False, widget=UnfoldAdminSelectWidget, label="Workspace"
    )
    log = forms.ChoiceField(
        choices=kept_for, required=False, widget=UnfoldAdminSelectWidget, label="Log"
    )

    def keep(self) -> Keep:
        """Return what was chosen: what was not is kept."""
        self.full_clean()
        chosen = self.cleaned_data
        return Keep(chosen.get("workspace") != REMOVE, chosen.get("log") != REMOVE)


class PersonForm(forms.Form):
    """Under which name, and whose, an agent is made."""

    name = forms.CharField(max_length=63, widget=UnfoldAdminTextInputWidget, label="Name")
    owner = forms.ModelChoiceField(
        User.objects.filter(is_active=True).order_by("username"), widget=UnfoldAdminSelectWidget
    )


def allowed_images() -> list[tuple[str, str]]:
    return [(image, image) for image in settings.TRINITY_IMAGES]


class AdoptForm(PersonForm):
    image = forms.ChoiceField(choices=allowed_images, widget=UnfoldAdminSelectWidget)


class AdministratorsAdmin(ReadOnlyAdmin):
    """Rows that administrators see, with actions that ask before they act."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def ask(
        self, request: HttpRequest, rows: Any, action: str, text: str, form: forms.Form | None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": action.replace("_", " ").capitalize(),
            "text": text,
            "rows": rows,
            "form": form,
            "action": action,
            "opts": self.opts,
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/agents/ask.html", context)

    def attempt(self, request: HttpRequest, done: str, verb: Callable[[], Any]) -> None:
        try:
            verb()
        except TrinityError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, done, messages.SUCCESS)

    def one_of(self, request: HttpRequest, rows: QuerySet[Any]) -> Any:
        """Return the only row, None and a word about it where several were chosen."""
        if len(rows) == 1:
            return rows[0]
        self.message_user(request, "Choose one at a time: each has a name.", messages.ERROR)
        return None


@admin.action(description="Take control…")
def take_control(
    model_admin: AdministratorsAdmin, request: HttpRequest, hosts: QuerySet[Host]
) -> HttpResponse | None:
    """Act on the engine again, where Trinity only reports."""
    if "confirmed" not in request.POST:
        text = (
            "Start, stop and remove containers on this engine again? First make sure that no "
            "other Trinity does, above all not the one that this one was copied from."
        )
        return model_admin.ask(request, hosts, "take_control", text, None)
    done = "Trinity acts on this engine."
    model_admin.attempt(request, done, partial(control.take, actor_of(request)))
    return None


@admin.register(RetainedWorkspace)
class RetainedAdmin(AdministratorsAdmin):
    list_display = ["name", "owner", "kept", "deleted_at", "deleted_by", "ends"]
    list_select_related = ["owner", "deleted_by", "log", "host"]
    search_fields = ["name", "owner__username"]
    fields = ["name", "owner", "kept", "deleted_at", "deleted_by", "purge_at", "uid"]
    actions = ["restore", "purge"]

    @admin.display(description="kept")
    def kept(self, retained: RetainedWorkspace) -> str:
        return str(Keep(retained.has_workspace, retained.log_id is not None))

    @admin.display(description="removed in", ordering="purge_at")
    def ends(self, retained: RetainedWorkspace) -> str:
        return timeuntil(retained.purge_at) if retained.purge_at > timezone.now() else "now"

    @admin.action(description="Restore…")
    def restore(
        self, request: HttpRequest, queryset: QuerySet[RetainedWorkspace]
    ) -> HttpResponse | None:
        retained = self.one_of(request, queryset)
        if retained is None:
            return None
        is_answer = "confirmed" in request.POST
        initial = {"name": retained.name, "owner": retained.owner}
        form = PersonForm(request.POST if is_answer else None, initial=initial)
        if not form.is_valid():
            text = "Make the agent again, with what is kept of it, and start it?"
            return self.ask(request, [retained], "restore", text, form)
        self.attempt(
            request,
            f"Restored {retained.name}.",
            partial(restoring.restore, retained, actor_of(request), **form.cleaned_data),
        )
        return None

    @admin.action(description="Remove now…")
    def purge(
        self, request: HttpRequest, queryset: QuerySet[RetainedWorkspace]
    ) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            text = "Remove these workspaces and logs now? Nothing brings them back."
            return self.ask(request, queryset, "purge", text, None)
        for retained in queryset:
            self.attempt(
                request,
                f"Removed what was kept of {retained.name}.",
                partial(retention.purge_now, retained, actor_of(request)),
            )
        return None


@admin.register(Found)
class FoundAdmin(AdministratorsAdmin):
    """Recorded by the supervisor every minute: nothing is asked of the engine here."""

    list_display = ["name", "kind", "agent", "runs", "generation", "found_at"]
    list_filter = ["kind"]
    search_fields = ["name", "uid"]
    fields = ["name", "kind", "agent", "runs", "reference", "uid", "labels", "found_at"]
    actions = ["adopt", "remove"]

    @admin.display(description="made for", ordering="uid")
    def agent(self, thing: Found) -> str:
        return thing.labels.get("trinity.agent-name") or f"an agent with the mark {thing.uid}"

    @admin.display(description="generation")
    def generation(self, thing: Found) -> str:
        return str(thing.labels.get("trinity.generation", ""))

    @admin.action(description="Adopt…")
    def adopt(self, request: HttpRequest, queryset: QuerySet[Found]) -> HttpResponse | None:
        thing = self.one_of(request, queryset)
        if thing is None:
            return None
        is_answer = "confirmed" in request.POST
        initial = {"name": thing.labels.get("trinity.agent-name", ""), "owner": request.user}
        form = AdoptForm(request.POST if is_answer else None, initial=initial)
        if not form.is_valid():
            text = "Make an agent of it? It is started in a container of its own configuration."
            return self.ask(request, [thing], "adopt", text, form)
        self.attempt(
            request,
            f"Adopted {thing}.",
            partial(found.adopt, thing, actor_of(request), **form.cleaned_data),
        )
        return None

    @admin.action(description="Remove…")
    def remove(self, request: HttpRequest, queryset: QuerySet[Found]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            text = "Take these off the engine, with all that is in them? Nothing brings them back."
            return self.ask(request, queryset, "remove", text, None)
        # Containers first: a volume cannot go while one has it.
        for thing in sorted(queryset, key=lambda thing: thing.kind != Found.Kind.CONTAINER):
            self.attempt(
                request,
                f"Removed {thing}.",
                partial(found.remove, thing, actor_of(request)),
            )
        return None
