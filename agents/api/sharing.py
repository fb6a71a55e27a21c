"""Whom an agent is shared with: list, share, unshare; all of it is the owner's."""

from typing import Any

from django.core.validators import validate_email
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, sharing
from agents.models import Agent, Share
from agents.reports import share_object, share_objects
from trinity.api import ApiView, takes
from trinity.identity import actor_of, user_of
from trinity.shapes import Body, Choice, Moment, Text


class Email(Text):
    """An address in lower case, which is what is validated: it can be longer than what was sent."""

    def __init__(self, **kwargs: Any) -> None:
        limits = {"allow_blank": False, "max_length": 254, "validators": [validate_email]}
        super().__init__(**limits, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class NewShare(serializers.Serializer[Any]):
    email = Email()
    role = Choice(choices=Share.Role.choices, default=Share.Role.VIEWER)
    expires_at = Moment(required=False, allow_null=True)


class ShareView(ApiView):
    @takes(NewShare)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = _owned(request, name)
        return Response(share_object(agent, sharing.share(agent, actor_of(request), **body)))


class SharesView(ApiView):
    def get(self, request: Request, name: str) -> Response:
        return Response(share_objects(_owned(request, name)))


class OneShareView(ApiView):
    def delete(self, request: Request, name: str, email: str) -> Response:
        sharing.unshare(_owned(request, name), actor_of(request), email)
        return Response({"message": f"Sharing removed for {email.lower()}"})


def _owned(request: Request, name: str) -> Agent:
    return access.owned_agent(user_of(request), name, refusal="Only owners can share an agent")


urlpatterns = [
    path("api/agents/<str:name>/share", ShareView.as_view()),
    path("api/agents/<str:name>/shares", SharesView.as_view()),
    # A path, because an address may hold a slash.
    path("api/agents/<str:name>/share/<path:email>", OneShareView.as_view()),
]
