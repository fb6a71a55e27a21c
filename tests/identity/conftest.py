"""Views that fail in every way, beside the real ones of the identity API."""

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpResponse
from django.test import Client
from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.response import Response

from agents.api.tokens import urlpatterns as token_urls
from trinity import errors
from trinity.api import ApiView, bad_request, server_error, takes
from trinity.identity_api import urlpatterns as identity_urls
from trinity.models import ApiToken
from trinity.shapes import Choice, Flag, Moment, Text, Whole, text_map, texts

FAILURES = {
    "invalid": errors.Invalid("No"),
    "not-found": errors.NotFound("No"),
    "forbidden": errors.Forbidden("No"),
    "conflict": errors.Conflict("No"),
    "too-large": errors.TooLarge("No"),
    "too-many": errors.TooMany("No", retry_after_seconds=7),
    "unavailable": errors.Unavailable("No"),
    "http404": Http404("secret"),
    "denied": PermissionDenied("secret"),
    "suspicious": SuspiciousOperation("secret"),
    "too-big": RequestDataTooBig("secret"),
    "throttled": Throttled(3),
    "database": OperationalError("could not connect to secret"),
    "bug": ZeroDivisionError("secret"),
}


class FailingView(ApiView):
    def get(self, request, kind):
        raise FAILURES[kind]


class EverythingView(ApiView):
    class Everything(serializers.Serializer):
        text = Text()
        flag = Flag(required=False)
        number = Whole(required=False)
        choice = Choice(choices=["1", "2"], required=False)
        at = Moment(required=False)
        words = texts(required=False)
        environment = text_map(required=False)

    @takes(Everything)
    def post(self, request, body):
        return Response(body)

    def get(self, request):
        return Response(self.query(self.Limit))

    class Limit(serializers.Serializer):
        limit = serializers.IntegerField(default=100, min_value=1, max_value=1000)


def denied(request, exception):
    return HttpResponse(status=403)


class Urls:
    handler400, handler403, handler500 = bad_request, denied, server_error
    urlpatterns = [
        *identity_urls,
        *token_urls,
        path("admin/", admin.site.urls),
        path("api/failing/<kind>", FailingView.as_view()),
        path("api/everything", EverythingView.as_view()),
    ]


@pytest.fixture(autouse=True)
def _platform(settings):
    settings.ROOT_URLCONF = Urls
    settings.TRINITY_ENGINE_AWAY_SINCE = ""
    # A proper hash takes longer than all else in a test.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def user(db):
    return get_user_model().objects.create_user("ada", "ada@example.org", "analytical")


@pytest.fixture
def administrator(db):
    return get_user_model().objects.create_superuser("root", "root@example.org", "engine-room")


@pytest.fixture
def bearer(user):
    return "Bearer " + ApiToken.issue(user, "test", expires_at=None)[1]


@pytest.fixture
def api(bearer):
    """A client with a token."""
    return Client(headers={"authorization": bearer})


@pytest.fixture
def browser(user):
    """A client with a session that checks CSRF as the server does."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
