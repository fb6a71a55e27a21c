"""The OpenAPI document: valid, complete, and for whoever has credentials."""

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver
from drf_spectacular.validation import validate_schema
from rest_framework.test import APIClient

from tests.api.documented import operations
from tests.factories import client_of, make_user
from trinity.schema import document

pytestmark = pytest.mark.django_db
PLACES = {"<int:": "{", "<str:": "{", "<uuid:": "{", "<path:": "{", ">": "}"}


def routes(patterns, prefix=""):
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern.url_patterns, route)


def path_of(route):
    for place, brace in PLACES.items():
        route = route.replace(place, brace)
    return f"/{route}"


def test_it_is_valid():
    validate_schema(document())
    assert document()["openapi"].startswith("3.")


def test_every_path_of_the_api_is_in_it():
    paths = {path_of(route) for route in routes(get_resolver().url_patterns)}
    api = {path for path in paths if path.startswith("/api/")} | {"/health", "/metrics", "/token"}
    assert set(document()["paths"]) == api


def test_every_operation_has_a_name_of_its_own():
    names = [operation["operationId"] for _, operation in operations()]
    assert len(names) == len(set(names)) > 60


def test_credentials_are_named_where_they_are_asked_for():
    public = {path for (_, path), told in operations() if told["security"] == [{}]}
    assert public == {
        *("/health", "/token", "/api/token", "/api/auth/mode"),
        *("/api/setup/status", "/api/setup/admin-password"),
    }
    assert set(document()["components"]["securitySchemes"]) == {"bearer", "cookie"}


def test_headers_of_the_contract_are_in_it():
    told = dict(operations())
    create, listed = told["post", "/api/agents"], told["get", "/api/agents"]
    assert "Idempotency-Key" in [each["name"] for each in create["parameters"]]
    assert "Link" in listed["responses"]["200"]["headers"]
    assert "Trinity-Engine" in listed["responses"]["200"]["headers"]
    assert "Retry-After" in listed["responses"]["503"]["headers"]


@pytest.mark.parametrize("path", ["/api/schema", "/api/docs"])
def test_strangers_do_not_read_it(path):
    assert APIClient().get(path).status_code == 401


def test_it_is_served_as_json():
    answer = client_of(make_user()).get("/api/schema")
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == document()


def test_the_page_loads_only_what_the_policy_allows():
    browser = Client()
    browser.force_login(make_user(), "django.contrib.auth.backends.ModelBackend")
    answer = browser.get("/api/docs")
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "swagger-ui-bundle.js" in text
    assert "<style" not in text
    assert "script-src 'self'" in answer["Content-Security-Policy"]
