"""The admin's forms for agents, and what a valid one asks for."""

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import lifecycle
from trinity.models import User


class TagsField(forms.CharField):
    """Tags as people write them: words with commas between them."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [tag.strip() for tag in (super().to_python(value) or "").split(",") if tag.strip()]


class AgentForm(forms.ModelForm):  # type: ignore[type-arg]  # no subscript at run time
    tags = TagsField(required=False, help_text="With commas between them")


def allowed_images() -> list[tuple[str, str]]:
    return [(image, image) for image in settings.TRINITY_IMAGES]


class NewAgentForm(AgentForm):
    """What a new agent shall be; ``lifecycle.create`` decides whether it may."""

    #: Why it was not made, when the attempt was refused after the form itself was valid.
    refusal = ""

    image = forms.ChoiceField(choices=allowed_images, widget=UnfoldAdminSelectWidget)

    def clean(self) -> dict[str, Any] | None:
        if self.refusal:
            raise forms.ValidationError(self.refusal)
        return super().clean()


def new_agent(request: HttpRequest, cleaned: dict[str, Any]) -> lifecycle.NewAgent:
    owner = cleaned.get("owner") or request.user
    if not isinstance(owner, User):
        raise TypeError("The admin is for signed-in people")
    return lifecycle.NewAgent(
        owner=owner,
        name=cleaned["name"],
        type=cleaned["type"],
        template=cleaned["template"],
        image=cleaned["image"],
        memory=cleaned["memory_limit"] or None,
        cpu=cleaned["cpu_limit"] or None,
        github_repo=cleaned["github_repo"],
        description=cleaned["description"],
        tags=cleaned["tags"],
    )
