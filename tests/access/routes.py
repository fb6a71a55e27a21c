"""All that is served, as the product itself lists it."""

import inspect
import re

from channels.routing import URLRouter
from django.contrib import admin
from django.test import RequestFactory
from django.urls import URLPattern, get_resolver

from agents import topics as agent_topics
from operations import topics as operation_topics
from trinity import asgi
from trinity.api import ApiView

VERBS = ("get", "post", "put", "patch", "delete")


def documented(pattern):
    """A pattern of Django's as the documentation writes it."""
    path = re.sub(r"\(\?P<(\w+)>.*?\)(?=/|\$)", r"{\1}", pattern.removeprefix("^"))
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
    return "/" + path.replace("^", "").removesuffix("$")


def _leaves(patterns, prefix=""):
    for each in patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLPattern):
            yield documented(path), each.callback
        else:
            yield from _leaves(each.url_patterns, path)


def urls():
    """Each path of Django's handler with the methods of its API view, None for any other view."""
    for path, callback in _leaves(get_resolver().url_patterns):
        view = getattr(callback, "view_class", None)
        is_api = view is not None and issubclass(view, ApiView)
        yield path, {verb.upper() for verb in VERBS if hasattr(view, verb)} if is_api else None


def beside():
    """Method and path of what is answered beside Django's handler."""
    served = asgi.application.application_mapping["http"]
    if not isinstance(served, URLRouter):
        # The tests listen to it (tests/answered.py).
        closed = inspect.getclosurevars(served).nonlocals.values()
        [served] = [each for each in closed if isinstance(each, URLRouter)]
    for route in served.routes:
        if route.callback is not asgi.django_application:
            told = inspect.getclosurevars(route.callback).nonlocals
            yield told.get("method", "POST"), documented(str(route.pattern))


def topics():
    assert {agent_topics.resolve, operation_topics.resolve} == {*asgi.RESOLVERS}
    yield "agents"
    yield from (f"agent:{{name}}{part}" for part in agent_topics.PARTS)
    yield from (f"operation:{{operation_id}}{part}" for part in operation_topics.PARTS)


def actions(administrator):
    request = RequestFactory().get("/admin/")
    request.user = administrator
    for model, shown in admin.site._registry.items():
        for name in shown.get_actions(request):
            yield f"{model._meta.label_lower.replace('.', '/')} {name}"
