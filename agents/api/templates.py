"""What agents are made of: the templates there are, and what an agent's own says of it."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, templates
from agents.answers.templates import (
    EnvironmentTemplate,
    Info,
    Refreshed,
    TemplateObject,
    TemplateResources,
    TemplateSays,
)
from agents.errors import TemplateNotFound
from agents.models import Agent
from agents.template_file import Content
from agents.templates import Template
from trinity.answers import answers
from trinity.api import ApiView, takes
from trinity.audit import recorded
from trinity.identity import actor_of, require_administrator, user_of
from trinity.models import Scope
from trinity.shapes import Body, Text


def template_object(template: Template) -> TemplateObject:
    content = template.content
    return {
        "id": template.id,
        "display_name": template.display_name,
        "description": content.description if content else "",
        "source": templates.SOURCE,
        "image": content.image if content else None,
        "resources": _resources(content) if content else None,
        "required_credentials": list(content.environment) if content else [],
        "error": template.error or None,
    }


def _resources(content: Content) -> TemplateResources:
    return {"cpu": content.cpu, "memory": content.memory, "disk": content.disk}


class TemplatesView(ApiView):
    @answers(list[TemplateObject])
    def get(self, _request: Request) -> Response:
        return Response([template_object(each) for each in templates.all_templates()])


class TemplateView(ApiView):
    @answers(TemplateObject)
    def get(self, _request: Request, template_id: str) -> Response:
        return Response(template_object(templates.find(template_id)))


class Which(serializers.Serializer[Any]):
    template_id = Text(max_length=100)


class EnvironmentView(ApiView):
    @answers(EnvironmentTemplate, 400, 404, query=Which)
    def get(self, _request: Request) -> Response:
        template = templates.find(self.query(Which)["template_id"])
        environment = template.usable.environment
        told: EnvironmentTemplate = {
            "template_id": template.id,
            "template_name": template.display_name,
            "content": _env_text(template.display_name, environment),
            "credential_count": len(environment),
        }
        return Response(told)


def _env_text(title: str, environment: dict[str, str]) -> str:
    """A file of ``NAME=`` lines to fill in, what each is for as a comment above it."""
    lines = [f"# {title}"]
    for name, purpose in environment.items():
        lines += [f"# {line}" for line in purpose.splitlines()]
        lines.append(f"{name}=")
    return "\n".join(lines) + "\n"


class Nothing(serializers.Serializer[Any]):
    pass


class RefreshView(ApiView):
    """Files are read anew whenever they change; this is for those who want to be sure."""

    @answers(Refreshed)
    @takes(Nothing)
    def post(self, request: Request, body: Body) -> Response:
        refusal = "Only administrators can refresh templates"
        require_administrator(user_of(request), Scope.MANAGE, refusal=refusal)
        with recorded(actor_of(request), "refresh", "templates", "templates"):
            templates.forget_all()
            found = templates.all_templates()
        broken = sum(bool(template.error) for template in found)
        told: Refreshed = {
            "message": "Templates refreshed",
            "count": len(found),
            "broken_count": broken,
        }
        return Response(told)


class InfoView(ApiView):
    @answers(Info)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        return Response(_info(agent))


def _info(agent: Agent) -> Info:
    told: Info = {
        "agent_name": agent.name,
        "status": agent.status,
        "has_template": False,
        "template_name": agent.template,
        "type": agent.type,
        "resources": {"cpu": agent.cpu, "memory": agent.memory},
        # What it was made with, whatever has become of its template.
        "image": agent.image,
        "command": agent.command,
        "can_chat": bool(agent.prompt_command),
    }
    try:
        template = templates.find(agent.template)
    except TemplateNotFound:
        return {**told, "message": f"The template {agent.template} is not there any more"}
    if template.content is None:
        problem = f"The template {agent.template} is broken: {template.error}"
        return {**told, "message": problem}
    return {**told, **_what_it_says(template, template.content), "has_template": True}


def _what_it_says(template: Template, content: Content) -> TemplateSays:
    return {
        "display_name": template.display_name,
        "description": content.description,
        "version": content.version or None,
        "author": content.author or None,
        "capabilities": content.capabilities,
        "required_credentials": list(content.environment),
    }


urlpatterns = [
    path("api/templates", TemplatesView.as_view()),
    # These before the names of templates.
    path("api/templates/env-template", EnvironmentView.as_view()),
    path("api/templates/refresh", RefreshView.as_view()),
    path("api/templates/<str:template_id>", TemplateView.as_view()),
    path("api/agents/<str:name>/info", InfoView.as_view()),
]
