"""Holds every answer that a test gets against the OpenAPI document, and remembers which there were.

With TRINITY_EVERY_ANSWER=1 a run of the whole suite fails when it leaves out an answer that the
document promises: then some endpoint, or one of its errors, has no test.
"""

import json
import os
import re
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

from tests.api.documented import as_json_schema, operations, strict

#: (method, path of the document, status) of all answers so far.
seen = set()
#: What the answers of the present test have against the document.
problems = []

# Django's own refusals before any view, a wrong method, and bugs that a test makes up.
ANYWHERE = {(400, "bad_request"), (405, "method_not_allowed"), (500, "internal_error")}
FOLDER = Path(os.environ["TRINITY_TEST_DIR"])


class Answered:
    """Django's middleware before all others."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        body = b"" if response.streaming else response.content
        note(request.method, request.path_info, response.status_code, body)
        return response


def listening(application):
    """The ASGI application, whose answers are noted too."""

    async def heard(scope, receive, send):
        status, body = None, b""

        async def passed_on(message):
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
                types = dict(message.get("headers", ())).get(b"content-type", b"")
                body = b"" if types.startswith(b"application/json") else None
            elif body is not None:
                body += message.get("body", b"")
            if not message.get("more_body") and message["type"] == "http.response.body":
                note(scope["method"], scope["path"], status, body or b"")
            elif body is None and message["type"] == "http.response.start":
                note(scope["method"], scope["path"], status, b"")
            await send(message)

        await application(scope, receive, passed_on)

    return heard


def note(method, path, status, body):
    found = _operation(method.lower(), path)
    if found is None:
        return
    told = _told(body)
    code = told.get("code") if isinstance(told, dict) else None
    if (status, code) in ANYWHERE:
        return
    seen.add((*found, status))
    validator = _validators().get((*found, status))
    if validator is None:
        problems.append(f"{method} {path}: {status} is not documented: {body[:300]}")
    elif told is not None:
        problems.extend(
            f"{method} {path}: {status}: {error.json_path}: {error.message[:300]}"
            for error in validator.iter_errors(told)
        )


def _told(body):
    try:
        return json.loads(body)
    except ValueError:
        return None


@cache
def _patterns():
    found = []
    for (method, path), _ in operations():
        parts = re.split(r"(\{\w+\})", path)
        # An address may hold a slash, as a path does.
        places = {"{email}": ".+", "{path}": ".+"}
        pattern = "".join(
            places.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts
        )
        found.append((method, path, re.compile(pattern)))
    # Fixed paths win over names.
    return sorted(found, key=lambda each: each[1].count("{"))


def _operation(method, path):
    for known, template, pattern in _patterns():
        if method == known and pattern.fullmatch(path):
            return method, template
    return None


@cache
def _validators():
    made = as_json_schema(strict({}))
    components = {"components": made["components"]}
    return {
        (method, path, int(status)): Draft202012Validator({**_schema_of(answer), **components})
        for path, methods in made["paths"].items()
        for method, operation in methods.items()
        for status, answer in operation["responses"].items()
    }


def _schema_of(answer):
    return answer.get("content", {}).get("application/json", {}).get("schema", {})


# At the end of a run


def keep():
    """Leave what was seen to the process that sums up."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "main")
    text = json.dumps(sorted(seen))
    (FOLDER / f"answered-{name}.json").write_text(text)


def missing():
    """What the document promises and no test has got."""
    found = {
        tuple(each)
        for file in FOLDER.glob("answered-*.json")
        for each in json.loads(file.read_text())
    }
    promised = {
        (method, path, int(status))
        for (method, path), told in operations()
        for status in told["responses"]
    }
    return sorted(promised - found)
