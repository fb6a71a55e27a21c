"""The OpenAPI document, and a page to read it and to try it out."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from trinity.answers import answers
from trinity.api import ApiView
from trinity.schema import document


class SchemaView(ApiView):
    read_scope = None

    @answers(dict[str, Any])
    def get(self, _request: Request) -> Response:
        """This document."""
        return Response(document())


class DocsView(ApiView):
    read_scope = None

    @answers(str, media_type="text/html")
    def get(self, request: Request) -> HttpResponse:
        """A page that shows this document and sends requests."""
        return render(request, "api_docs.html")


urlpatterns = [
    path("api/schema", SchemaView.as_view()),
    path("api/docs", DocsView.as_view()),
]
