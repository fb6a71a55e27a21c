"""Whom an agent is shared with: list, share, unshare; all of it is the owner's."""

from collections.abc import Sequence
from typing import Any

from django.core.validators import validate_email
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, sharing
from agents.answers.agents import ShareObject
from agents.models import Agent, Share
from agents.reports import share_object
from trinity.answers import Message, answers
from trinity.api import ApiView, takes
from trinity.idempotency import creates
from trinity.identity import actor_of, user_of
from trinity.models import Scope
from trinity.pagination import PageShape, page
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
    @answers(ShareObject, 400)
    @creates()
    @takes(NewShare)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = _owned(request, name)
        return Response(share_object(agent, sharing.share(agent, actor_of(request), **body)))


class SharesView(ApiView):
    @answers(list[ShareObject], query=PageShape)
    def get(self, request: Request, name: str) -> Response:
        query = self.query(PageShape)
        agent = _owned(request, name, Scope.READ)

        def told(shares: Sequence[Share]) -> list[ShareObject]:
            return [share_object(agent, share) for share in shares]

        shares = Share.objects.unexpired().filter(agent=agent).select_related("shared_by")
        return page(request, shares, query, told, "-created_at", "-pk")


class OneShareView(ApiView):
    @answers(Message)
    def delete(self, request: Request, name: str, email: str) -> Response:
        sharing.unshare(_owned(request, name), actor_of(request), email)
        told: Message = {"message": f"Sharing removed for {email.lower()}"}
        return Response(told)


def _owned(request: Request, name: str, scope: Scope = Scope.MANAGE) -> Agent:
    refusal = "Only owners can share an agent"
    return access.owned_agent(user_of(request), name, refusal=refusal, scope=scope)


urlpatterns = [
    path("api/agents/<str:name>/share", ShareView.as_view()),
    path("api/agents/<str:name>/shares", SharesView.as_view()),
    # A path, because an address may hold a slash.
    path("api/agents/<str:name>/share/<path:email>", OneShareView.as_view()),
]
