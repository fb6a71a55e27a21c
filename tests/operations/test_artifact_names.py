"""Names of a program's choosing become text that is safe everywhere, each another one."""

import unicodedata
from urllib.parse import unquote_to_bytes
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.artifacts import PATH_BYTES, new, safe_path
from tests.factories import make_operation

PLAIN = [
    "report.txt",
    "a/b/c",
    "100% sure",
    "50%",
    "a b",
    "é",
    "日本",
    "😀",
    "'\"<>&",
    "-rf",
    "%zz",
]
MADE = {
    b"a\nb": "a%0Ab",
    b"\x1b[31m": "%1B[31m",
    b"\xff\xfe": "%FF%FE",
    b"\x7f": "%7F",
    b"%41": "%2541",
    b"%ff": "%25ff",
    "\u202egpj.exe".encode(): "%E2%80%AEgpj.exe",
    "\u2028": "%E2%80%A8",
    "\x85": "%C2%85",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_stays_as_it_is(name):
    assert safe_path(name.encode()) == name


@pytest.mark.parametrize(("name", "safe"), MADE.items())
def test_what_is_no_sign_is_spelled_out(name, safe):
    assert safe_path(name if isinstance(name, bytes) else name.encode()) == safe


@pytest.mark.parametrize(
    "path", [b"", b"/", b"/a", b"a/", b"a//b", b".", b"..", b"a/..", b"../a", b"n" * 256]
)
def test_what_is_no_path_below_has_none(path):
    assert safe_path(path) is None


def test_one_that_becomes_too_long_has_none():
    part = b"\xff" * 250
    assert len(safe_path(part)) == 750
    assert safe_path(b"/".join([part] * 3)) is None


names = st.binary(min_size=1, max_size=30).map(lambda name: name.replace(b"/", b"%"))
paths = st.lists(names.filter(lambda name: name not in {b".", b".."}), min_size=1, max_size=4)


@given(paths.map(b"/".join))
def test_the_path_can_be_told_from_its_text_so_no_two_have_the_same(path):
    safe = safe_path(path)
    assert unquote_to_bytes(safe) == path
    assert len(safe.encode()) <= PATH_BYTES
    assert not {unicodedata.category(each) for each in safe} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.django_db
def test_what_it_is_called_in_the_storage_is_none_of_its_own():
    operation = make_operation()
    artifact = new(operation.pk, "../../etc/passwd", 1, "0" * 64)
    assert artifact.stored_as == f"{operation.pk}/{artifact.pk.hex}"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.html", "text/html"),
        ("a.json", "application/json"),
        ("a.png", "image/png"),
        ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"),
        # Packed, it is no such thing.
        ("a.json.gz", "application/octet-stream"),
    ],
)
def test_the_type_is_told_by_the_name(name, content_type):
    assert new(uuid4(), name, 1, "").content_type == content_type
