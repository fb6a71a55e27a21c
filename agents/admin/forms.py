"""The admin's forms for agents, and what a valid one asks for."""

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import lifecycle, templates
from agents.templates import Template
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
    return [("", "The template's"), *((image, image) for image in settings.TRINITY_IMAGES)]


def known_templates() -> list[tuple[str, str]]:
    """Broken ones too, with the reason: who looks for his own learns what to mend."""
    return [(each.id, _template_label(each)) for each in templates.all_templates()]


def _template_label(template: Template) -> str:
    if template.error:
        return f"{template.id} is broken: {template.error}"
    return f"{template.display_name} ({template.id})"


class TemplateSelect(UnfoldAdminSelectWidget):  # type: ignore[misc]  # unfold ships no types
    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        option = super().create_option(name, value, *args, **kwargs)
        if any(each.id == value and each.error for each in templates.all_templates()):
            option["attrs"]["disabled"] = True
        return option


class NewAgentForm(AgentForm):
    """What a new agent shall be; ``lifecycle.create`` decides whether it may."""

    #: Why it was not made, when the attempt was refused after the form itself was valid.
    refusal = ""

    template = forms.ChoiceField(
        choices=known_templates, initial=templates.DEFAULT, widget=TemplateSelect
    )
    type = forms.CharField(
        required=False,
        max_length=63,
        help_text="The template's, where nothing is given",
        widget=UnfoldAdminTextInputWidget,
    )
    image = forms.ChoiceField(
        required=False, choices=allowed_images, widget=UnfoldAdminSelectWidget
    )
    github_repo = forms.CharField(
        required=False,
        max_length=255,
        label="Git repository",
        help_text="https://… or ssh://…; the agent works on a branch of its own",
        widget=UnfoldAdminTextInputWidget,
    )

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
        type=cleaned["type"] or None,
        template=cleaned["template"],
        image=cleaned["image"] or None,
        memory=cleaned["memory_limit"] or None,
        cpu=cleaned["cpu_limit"] or None,
        github_repo=cleaned["github_repo"],
        description=cleaned["description"],
        tags=cleaned["tags"],
    )
