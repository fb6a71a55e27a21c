"""What is asked for in a role: what it is answered, and what it has left behind."""

import re
from contextlib import contextmanager

from django.db import connection, transaction

from agents.runtime import get_runtime
from tests.access.table import SEES
from trinity.models import AuditEvent

WRITES = re.compile(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+"(\w+)"', re.IGNORECASE)
# Who was refused, when the token was used, and what the session says on the next page.
ALWAYS_WRITTEN = {"trinity_auditevent", "trinity_apitoken", "django_session"}


def expected(line, role):
    if role.counts_as == "requester":
        return line.requester or line.right["stranger"]
    return line.right[role.counts_as]


def expected_of_owner(line, role):
    """By a token of the owner's: what the owner may not, it may not either."""
    return line.right[role.counts_as] if line.right["owner"] == "yes" else line.right["owner"]


def sees_agent(role):
    return SEES.get(role.counts_as) == "yes"


def outcome(line, status, location=""):
    """In the words of the table."""
    if status == line.ok:
        if "sign-in?" in location or "/admin/login/" in location:
            return "login"
        return "start" if location == "/admin/" and location != line.leads_to else "yes"
    if status == 302:
        return outcome(line, line.ok, location) if location else "302"
    return str(status)


@contextmanager
def undone(*, unless):
    """Whatever is written to the database inside is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(not unless)


@contextmanager
def traces():
    """Collect the tables that are written to, and what is asked of the engine."""
    found = []
    calls = sum(get_runtime().calls.values())

    def note(execute, sql, params, many, context):
        if match := WRITES.match(sql):
            found.append(match[1])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found
    if sum(get_runtime().calls.values()) != calls:
        found.append("the engine")


def denials(user):
    return AuditEvent.objects.filter(actor=user, outcome="denied").count()
