"""The environment of an agent's programs in the admin: set and replaced, secrets never shown."""

from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget

from agents import environment
from agents.environment import Variable
from agents.models import Agent, EnvironmentValue
from trinity.audit import Actor
from trinity.errors import TrinityError


class VariableForm(forms.ModelForm):  # type: ignore[type-arg]  # no subscript at run time
    """A value that is there already stays as it is unless another is typed."""

    # As it is typed: a key may well end in a newline.
    new_value = forms.CharField(
        label="value",
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 1, "autocomplete": "off"}),
    )

    class Meta:
        model = EnvironmentValue
        fields = ("name", "is_secret")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = self.instance.pk is None
        # Another name is another variable.
        self.fields["name"].disabled = not is_new
        if is_new:
            self.initial["is_secret"] = True
            return
        field = self.fields["new_value"]
        field.widget.attrs["placeholder"] = "Stays as it is"
        if not self.instance.is_secret:
            self.initial["new_value"] = self.instance.value

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.has_changed() and not self.errors:
            self.variable = self._variable(cleaned)
            _check(lambda: environment.check([self.variable]))
        return cleaned

    def _variable(self, cleaned: dict[str, Any]) -> Variable:
        value, instance = cleaned["new_value"], self.instance
        if not value and instance.pk is not None and instance.is_secret:
            if not cleaned["is_secret"]:
                raise forms.ValidationError("Type the value again to have it shown from now on")
            value = environment.value_of(instance)
        return Variable(cleaned["name"], value, cleaned["is_secret"])


class VariableFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]  # no subscript either
    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        values = environment.readable_values_of(self.instance)
        for form in self.deleted_forms:
            values.pop(form.instance.name, None)
        values |= {each.name: each.value for each in changed(self)}
        _check(lambda: environment.check_total(values))


class EnvironmentInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    model = EnvironmentValue
    form = VariableForm
    formset = VariableFormSet
    fields = ["name", "new_value", "is_secret"]
    extra = 0
    verbose_name = "variable"
    verbose_name_plural = "environment"

    def has_view_permission(self, request: HttpRequest, obj: Agent | None = None) -> bool:
        # Without an agent it is asked for the rows, after the agent has been asked about.
        return obj is None or Agent.objects.owned_by(request.user).contains(obj)

    has_change_permission = has_delete_permission = has_add_permission = has_view_permission


def changed(formset: Any) -> list[Variable]:
    return [
        form.variable
        for form in formset.forms
        if form.has_changed() and form not in formset.deleted_forms
    ]


def save_environment(agent: Agent, actor: Actor, formset: Any) -> None:
    # Nothing is saved by this: it tells the admin what it shall write to its history.
    formset.save(commit=False)
    for variable in formset.deleted_objects:
        environment.remove_variable(agent, actor, variable.name)
    if variables := changed(formset):
        environment.set_variables(agent, actor, variables)


def _check(rule: Any) -> None:
    try:
        rule()
    except TrinityError as error:
        raise forms.ValidationError(str(error)) from error
