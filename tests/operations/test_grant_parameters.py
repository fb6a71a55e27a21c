"""What callers may set: descriptions that make sense, and values that fit them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.parameters import BadParameter, Parameter, filled

NO_DESCRIPTIONS = [
    ("Name", {"type": "text"}),
    ("nonce", {"type": "text"}),
    ("permission_id", {"type": "integer"}),
    ("a", "text"),
    ("a", {}),
    ("a", {"type": "list"}),
    ("a", {"type": ["text"]}),
    ("a", {"type": "text", "required": True}),
    ("a", {"type": "text", "pattern": "["}),
    ("a", {"type": "text", "pattern": 5}),
    ("a", {"type": "text", "max_length": 0}),
    ("a", {"type": "text", "max_length": "5"}),
    ("a", {"type": "text", "max_length": 2, "default": "abc"}),
    ("a", {"type": "integer", "minimum": "0"}),
    ("a", {"type": "integer", "default": "5"}),
    ("a", {"type": "text", "env": "TRINITY_KEY"}),
    ("a", {"type": "text", "env": "A=B"}),
    ("a", {"type": "text", "env": 5}),
]


@pytest.mark.parametrize(("name", "description"), NO_DESCRIPTIONS)
def test_a_description_that_makes_no_sense_is_refused(name, description):
    with pytest.raises(BadParameter, match=name):
        Parameter.described(name, description)


@pytest.mark.parametrize(
    ("description", "value", "text"),
    [
        ({"type": "text"}, "a b", "a b"),
        ({"type": "text"}, "", ""),
        ({"type": "text", "pattern": "-?[a-z]+"}, "-abc", "-abc"),
        ({"type": "integer"}, -5, "-5"),
        ({"type": "integer", "minimum": 1, "maximum": 1}, 1, "1"),
        ({"type": "boolean"}, True, "true"),
        ({"type": "boolean"}, False, "false"),
    ],
)
def test_values_become_text(description, value, text):
    assert Parameter.described("a", description).text_of("a", value) == text


@pytest.mark.parametrize(
    ("description", "value"),
    [
        ({"type": "text"}, 5),
        ({"type": "text"}, ["a"]),
        ({"type": "text"}, "-rf"),
        ({"type": "text", "max_length": 2}, "abc"),
        ({"type": "text", "pattern": "[a-z]+"}, "abc\n"),
        ({"type": "text", "pattern": "a|b"}, "ab"),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 5.0),
        ({"type": "integer"}, 2**63),
        ({"type": "integer", "minimum": 1}, 0),
        ({"type": "integer", "maximum": 1}, 2),
        ({"type": "boolean"}, 1),
        ({"type": "boolean"}, None),
    ],
)
def test_a_value_that_does_not_fit_is_refused(description, value):
    with pytest.raises(BadParameter, match=r"^a "):
        Parameter.described("a", description).text_of("a", value)


@given(st.text(), st.text())
def test_what_is_put_in_stays_as_it_is(first, second):
    texts = {"a": first, "b": second}
    assert filled("{a}|{b}|{c}", texts) == f"{first}|{second}|{{c}}"
