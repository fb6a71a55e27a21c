"""docs/access.md shows the table of access as it is; `make docs` writes it."""

import os
import re
from itertools import groupby
from pathlib import Path

from tests.access.table import ACTIONS, ADMIN, API, PAGES, PERSONS, STREAMS, TOKENS, TOPICS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"
PART = re.compile(r"(?<=<!-- access: begin -->\n).*?(?=<!-- access: end -->)", re.DOTALL)
NOTE = """
A *viewer* stands also for somebody with a share from before his account. A *stranger* is also
whose share has expired, whose address is not verified, and who asked for an operation while the
agent was shared with him; where *requester* is noted, the last gets that. *Nobody* is signed in
with nothing, or is disabled with a session and a token from before. "yes" is the answer when all
is well, "sign in" and "start" lead to the sign-in page and to the admin's first page.
"""
BY_TOKEN = """
By an administrator's token: limited to one scope, to this agent, or to another agent. A token of
an owner gets the same where an owner gets "yes", and else what the owner gets.
"""
WORDS = {"login": "sign in", "closed": "no socket"}


def cells(row):
    return f"| {' | '.join(row)} |\n"


def table(head, lines, roles):
    text = cells([head, *roles]) + cells(["---"] * (len(roles) + 1))
    for (path, answers, requester), same in groupby(lines, of_row(roles)):
        methods = " ".join(dict.fromkeys(line.method for line in same))
        note = " (requester: yes)" if requester else ""
        text += cells([f"`{methods} {path}`{note}", *(WORDS.get(each, each) for each in answers)])
    return text


def of_row(roles):
    return lambda line: (line.path, [line.right[role] for role in roles], line.requester)


def section(title, lines, *, tokens):
    text = f"\n### {title}\n\n" + table("", lines, PERSONS)
    return text + (f"{BY_TOKEN}\n" + table("", lines, TOKENS) if tokens else "")


def written():
    return "".join(
        [
            NOTE,
            section("API", API, tokens=True),
            section("Streams, downloads and uploads", STREAMS, tokens=True),
            section("Topics of the live socket", TOPICS, tokens=True),
            section("Pages", PAGES, tokens=False),
            section("The admin, by people of the staff", ADMIN, tokens=False),
            section("The admin's actions, by people of the staff", ACTIONS, tokens=False),
            "\n",
        ]
    )


def test_the_documentation_has_the_table():
    text = PAGE.read_text()
    if os.environ.get("TRINITY_WRITE_DOCS") == "1":
        PAGE.write_text(PART.sub(lambda _: written(), text))
    [found] = PART.findall(PAGE.read_text())
    assert found == written(), "Run `make docs`, and look at what has changed"
