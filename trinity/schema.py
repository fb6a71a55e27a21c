"""The OpenAPI document, made from what the views themselves name; nothing is guessed.

A method takes the shape of its ``@takes`` and answers the types of its ``@answers``.
"""

import builtins
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, resolve_type_hint
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from trinity.answers import Answers, Error, Malformed, Unauthenticated

Schema = dict[str, Any]

DESCRIPTIONS = {
    200: "Done",
    201: "Created",
    202: "Accepted: it goes on",
    204: "Done, and nothing to tell",
    400: "A rule of the domain is broken: the text says which",
    401: "No credentials, or bad ones",
    403: "Visible, but not permitted",
    404: "Not there, or not visible",
    409: "Busy, taken or finished",
    413: "Too large",
    422: "The request does not have the shape that is asked for",
    429: "Too many: wait as long as Retry-After says",
    503: "Engine, database or agent server do not answer: try again after Retry-After",
}
KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="The same key and body answer the first answer again for 24 hours",
)
EVENT_ID = OpenApiParameter(
    "Last-Event-ID", int, OpenApiParameter.HEADER, description="Goes on behind this line"
)
PAGED = "To the next page, where there is one"
ENGINE = "`away; since=<time>` while the answer comes from what was recorded before"


@cache
def document() -> Schema:
    generator = SchemaGenerator(urlconf="trinity.urls")
    made: Schema = generator.get_schema(request=None, public=True)
    return made


def _header(name: str, description: str, *statuses: int) -> OpenApiParameter:
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


class OpenApi(AutoSchema):
    def get_operation_id(self) -> str:
        words = [part for part in self.path.replace("{", "").replace("}", "").split("/") if part]
        named = "_".join([self.method.lower(), *words])
        return named.replace("-", "_").replace(".", "_")

    def get_tags(self) -> list[str]:
        parts = [part for part in self.path.split("/") if part not in {"", "api", "v1"}]
        return [parts[0]]

    def get_request_serializer(self) -> Any:
        if self._told.takes_bytes:
            return {"application/octet-stream": {"type": "string", "format": "binary"}}
        if self._shape is None:
            return None
        shape = self._schema_of_shape(self._shape)
        return {parser.media_type: shape for parser in self.view.parser_classes}

    def _schema_of_shape(self, shape: Any) -> Any:
        if isinstance(shape, tuple):
            # No "one of": what fits one of them may fit another too.
            return {"anyOf": [self.resolve_serializer(each(), "request").ref for each in shape]}
        # drf-spectacular passes over a shape without fields.
        return shape if shape().fields else {"type": "object"}

    def get_override_parameters(self) -> list[Any]:
        return [*self._request_parameters(), *self._response_headers()]

    def get_response_serializers(self) -> Any:
        told = self._told
        responses: dict[Any, Any] = {}
        for status, hint in told.types.items():
            media_type = told.media_type if status < 400 else "application/json"
            responses[status, media_type] = self._response(status, hint)
        for status in sorted({*self._usual_errors(), *told.errors} - set(told.types)):
            responses[status, "application/json"] = self._response(status, self._error(status))
        return responses

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False  # The types say so themselves.

    def _request_parameters(self) -> Iterator[Any]:
        if self._told.query:
            yield self._told.query
        if self._creates:
            yield KEY
        if self._told.media_type == "text/event-stream":
            yield EVENT_ID

    def _response_headers(self) -> Iterator[OpenApiParameter]:
        statuses = sorted({*self._usual_errors(), *self._told.errors, *self._told.types})
        fine = [status for status in statuses if status < 400]
        if self._asks_credentials:
            yield _header("Trinity-Engine", ENGINE, *fine)
        if "cursor" in self._query_fields():
            yield _header("Link", PAGED, 200)
        if self._creates:
            yield _header("Idempotent-Replayed", "`true` for an answer that is given again", *fine)
        for status in {429, 503}.intersection(statuses):
            yield _header("Retry-After", "Seconds", status)
        if 401 in statuses:
            yield _header("WWW-Authenticate", "`Bearer`", 401)

    @property
    def _handler(self) -> Any:
        return getattr(self.view, self.method.lower())

    @property
    def _told(self) -> Answers:
        told = getattr(self._handler, "answers", None)
        if not isinstance(told, Answers):
            raise TypeError(f"{self.method} {self.path} does not name its @answers")
        return told

    @property
    def _shape(self) -> Any:
        return getattr(self._handler, "shape", None)

    @property
    def _creates(self) -> bool:
        return getattr(self._handler, "creates", False)

    @property
    def _asks_credentials(self) -> bool:
        return bool(self.view.authentication_classes)

    def _query_fields(self) -> dict[str, Any]:
        return dict(self._told.query().fields) if self._told.query else {}

    def _usual_errors(self) -> set[int]:
        errors = {503}
        if self._asks_credentials:
            # By a token that is limited to less, or a cookie without the proof of a page of ours.
            errors |= {401, 403}
        if "{" in self.path:
            errors.add(404)
        if self._shape:
            errors |= {413, 422}
        if self._told.query and not getattr(self._told.query, "is_lenient", False):
            errors.add(422)
        if self._creates:
            errors.add(409)
        return errors

    def _error(self, status: int) -> Any:
        if status == 422 and self._creates:
            return Malformed | Error
        return {401: Unauthenticated, 422: Malformed}.get(status, Error)

    def _response(self, status: int, hint: Any) -> OpenApiResponse:
        schema = None if hint is None else self._schema_of(hint)
        return OpenApiResponse(schema, description=DESCRIPTIONS[status])

    # From types to schemas

    def _schema_of(self, hint: Any) -> Schema:
        if is_typeddict(hint):
            return self._component(hint)
        if hint is Any:
            return {}
        inner = get_args(hint)
        match get_origin(hint):
            case typing.NotRequired:
                schema = self._schema_of(inner[0])
            case typing.Annotated:
                schema = self._text(*inner)
            case builtins.list:
                schema = {"type": "array", "items": self._schema_of(inner[0])}
            case builtins.dict:
                schema = {"type": "object", "additionalProperties": self._schema_of(inner[1])}
            case typing.Union | types.UnionType:
                schema = self._union(inner)
            case _:
                schema = resolve_type_hint(hint)
        return schema

    @staticmethod
    def _text(_text: Any, meaning: Any) -> Schema:
        if isinstance(meaning, str):
            return {"type": "string", "format": meaning}
        return {"type": "string", "enum": list(meaning.values)}

    def _union(self, hints: tuple[Any, ...]) -> Schema:
        schemas = [self._schema_of(hint) for hint in hints if hint is not type(None)]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        if type(None) not in hints:
            return schema
        if "$ref" in schema:
            return {"allOf": [schema], "nullable": True}
        if "enum" in schema:
            # The list alone decides, whatever nullable says.
            return {**schema, "enum": [*schema["enum"], None], "nullable": True}
        return {**schema, "nullable": True}

    def _component(self, hint: Any) -> Schema:
        """One schema for each TypedDict, by its name."""
        component = ResolvedComponent(hint.__name__, ResolvedComponent.SCHEMA, object=hint)
        if component not in self.registry:
            self.registry.register(component)
            fields = get_type_hints(hint, include_extras=True)
            component.schema = {
                "type": "object",
                "properties": {name: self._schema_of(inner) for name, inner in fields.items()},
                "required": sorted(hint.__required_keys__),
            }
            if hint.__doc__:
                component.schema["description"] = " ".join(hint.__doc__.split())
        ref: Schema = component.ref
        return ref


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "trinity.identity.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        return {"type": "http", "scheme": "bearer"}


class CookieScheme(OpenApiAuthenticationExtension):
    target_class = "trinity.identity.CookieAuthentication"
    name = "cookie"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        told = "Of a sign-in on the pages. What changes something needs the header X-CSRFToken too"
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": told}
