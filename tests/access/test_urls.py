"""Every URL is asked for by everybody: each is answered as the table of access says."""

from collections import defaultdict

import pytest

from tests.access.table import ADMIN, API, PAGES
from tests.access.walk import (
    ALWAYS_WRITTEN,
    denials,
    expected,
    expected_of_owner,
    outcome,
    sees_agent,
    traces,
    undone,
)
from tests.access.world import SECRET, World

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def groups(lines):
    """Lines that one world will do for: those that need an agent server have one each."""
    found = defaultdict(list)
    for line in lines:
        area = "/".join(line.path.split("/")[:3])
        found[str(line) if line.runs or line.stays else area].append(line)
    return pytest.mark.parametrize("lines", found.values(), ids=found.keys())


def ask(line, world, role, path, *, with_token):
    world.put_file()
    body = line.body(world) if callable(line.body) else line.body
    is_form = line.path.endswith("/token")
    options = {"format": "multipart" if is_form else "json"} if with_token else {}
    send = getattr(role.client(with_token=with_token), line.method.lower())
    return send(path) if line.method == "GET" else send(path, body, **options)


def walked(line, world, role, right, *, with_token):
    """What is wrong with the answer: with what it is, what it shows or what it leaves behind."""
    path = world.path(line, role) + line.query
    with undone(unless=line.stays and right == "yes"), traces() as written:
        before = denials(role.user)
        answer = ask(line, world, role, path, with_token=with_token)
        got = outcome(line, answer.status_code, answer.get("Location", ""))
        told = denials(role.user) - before
    if got != right:
        yield f"{role.name} gets {got} instead of {right}"
    if right != "yes" and not {*written} <= ALWAYS_WRITTEN:
        yield f"{role.name} is refused and leaves something in {written}"
    if right in {"403", "404"} and role.user and line.is_told and told != 1:
        yield f"{role.name} is refused, which is told {told} times"
    yield from misread(line, world, role, right, answer.content.decode(errors="replace"))


def misread(line, world, role, right, shown):
    may_see = sees_agent(role) or (role.counts_as == "requester" and line.requester)
    if SECRET in shown and not may_see:
        yield f"{role.name} reads what is not his"
    is_list = line.lists and right == "yes" and not line.requester
    if is_list and (world.agent.name in shown) != sees_agent(role):
        yield f"{role.name} {'misses' if sees_agent(role) else 'finds'} the agent in the list"


@groups(API)
def test_the_api(lines):
    world = World(runs=lines[0].runs)
    roles = [(role, expected) for role in world.roles()]
    roles += [(role, expected_of_owner) for role in world.owners_tokens()]
    wrong = [
        f"{line}: {each}"
        for line in lines
        for role, answers in roles
        for each in walked(line, world, role, answers(line, role), with_token=True)
    ]
    assert not wrong, "\n".join(wrong)


@groups([*PAGES, *ADMIN])
def test_pages_and_the_admin(lines):
    world = World(is_staff=True)
    roles = list(world.roles())
    wrong = [
        f"{line}: {each}"
        for line in lines
        for role in roles
        for each in walked(line, world, role, expected(line, role), with_token=not role.session)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_admin_is_for_the_staff_alone():
    world = World()
    world.owner.is_superuser = True
    world.owner.save()
    owner = next(role for role in world.roles() if role.name == "owner")
    inside = [line for line in ADMIN if line.right["nobody"] == "login"]
    wrong = [
        f"{line}: {each}"
        for line in inside
        for each in walked(line, world, owner, "login", with_token=False)
    ]
    assert not wrong, "\n".join(wrong)
