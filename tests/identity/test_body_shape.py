import pytest


def post(api, body, content_type="application/json"):
    return api.post("/api/everything", body, content_type=content_type)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", 5),
        ("text", True),
        ("text", None),
        ("text", ["a"]),
        ("text", "nul \0"),
        ("text", "half \ud800"),
        ("flag", "true"),
        ("flag", 1),
        ("number", "5"),
        ("number", 5.0),
        ("number", True),
        ("number", 2**63),
        ("choice", 1),
        ("choice", "3"),
        ("choice", []),
        ("at", 5),
        ("at", "yesterday"),
        ("words", "a"),
        ("words", {"a": "b"}),
        ("environment", []),
    ],
)
def test_a_wrong_type_is_refused_and_not_coerced(api, field, value):
    response = post(api, {"text": "", field: value})
    assert response.status_code == 422
    [problem] = response.json()["detail"]
    assert problem.keys() == {"type", "loc", "msg", "input"}
    assert problem["loc"] in (["body", field], ["body"])


def test_a_problem_inside_a_list_or_an_object_says_where(api):
    sent = {"text": "", "words": ["a", 5], "environment": {"A": 1}}
    problems = {tuple(p["loc"]): p["input"] for p in post(api, sent).json()["detail"]}
    assert problems == {("body", "words", 1): 5, ("body", "environment", "A"): 1}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data"])
def test_an_empty_body_is_an_empty_object(api, content_type):
    response = post(api, b"", content_type)
    assert response.status_code == 422
    [problem] = response.json()["detail"]
    assert (problem["type"], problem["loc"]) == ("missing", ["body", "text"])


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_json_is_read_whatever_the_content_type(api, content_type):
    response = post(api, '{"text": "ä", "unknown": {"ignored": 1}}', content_type)
    assert response.json() == {"text": "ä"}


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "null",
        '"text"',
        '{"text": NaN}',
        '{"text": "", "number": Infinity}',
        '{"x": 1e999}',
        '{"text": "", "x": ' + "9" * 5000 + "}",
        '{"text": "a\\u0000"}',
        '{"text": "", "a\\u0000": 1}',
        b'{"text": "\xff"}',
        '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"text": ' + "[" * 500 + "]" * 500 + "}",
    ],
)
def test_a_body_that_is_no_proper_json_object_is_422(api, body):
    if body.__class__ is str and "NaN" in body:
        body = body.replace('"text": NaN', '"text": "", "x": NaN')
    response = post(api, body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body"]


def test_a_time_without_an_offset_is_utc(api):
    response = post(api, {"text": "", "at": "2026-01-02T03:04:05"})
    assert response.json()["at"] == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("limit", ["0", "1001", "x", "", "%00"])
def test_a_query_parameter_out_of_range_is_422(api, limit):
    response = api.get(f"/api/everything?limit={limit}&unknown=1")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "limit"]
