"""Sharing in the admin obeys the rules that the API obeys."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from agents.models import Share
from tests.factories import make_administrator, make_agent, make_user, share
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

EMAIL = "bob@example.org"


@pytest.fixture
def root():
    return make_administrator(email="root@example.org")


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def console(client, root):
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(agent):
    return reverse("admin:agents_agent_change", args=[agent.pk])


def save(console, agent, *rows):
    """Post the agent's page as it is shown, with these rows of shares."""
    shown = console.get(page(agent)).context
    form = shown["adminform"].form
    fields = {name: form[name].value() for name in form.fields}
    fields = {name: "" if value is None else value for name, value in fields.items()}
    for inline in shown["inline_admin_formsets"]:
        prefix = inline.formset.prefix
        fields |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    known = [row for row in rows if "id" in row]
    fields |= {"shares-TOTAL_FORMS": len(rows), "shares-INITIAL_FORMS": len(known)}
    for number, row in enumerate([*known, *(row for row in rows if "id" not in row)]):
        fields |= {f"shares-{number}-{name}": value for name, value in row.items()}
    fields["tags"] = ""
    return console.post(page(agent), fields)


def new(**fields):
    return {"email": EMAIL, "role": "viewer", **fields}


def row_of(made, **fields):
    return {"id": made.pk, "agent": made.agent_id, "role": made.role, **fields}


def problems(answer):
    assert answer.status_code == 200
    formsets = {
        each.formset.prefix: each.formset for each in answer.context["inline_admin_formsets"]
    }
    return str(formsets["shares"].errors)


def verbs():
    events = AuditEvent.objects.filter(object_type="agent").order_by("pk")
    return [event.verb for event in events if "share" in event.verb]


def test_it_is_recorded_with_who_did_it(console, root, agent):
    assert save(console, agent, new(email="Bob@Example.org", role="operator")).status_code == 302
    made = Share.objects.get()
    assert (made.email, made.role, made.shared_by) == (EMAIL, "operator", root)
    assert AuditEvent.objects.get(verb="share").detail == f"{EMAIL} as operator"


def test_nobody_shares_with_himself(console, agent):
    answer = save(console, agent, new(email="ROOT@example.org"))
    assert "Cannot share an agent with yourself" in problems(answer)


def test_an_address_has_one_share(console, agent):
    share(agent, make_user(email=EMAIL))
    answer = save(console, agent, row_of(Share.objects.get()), new(role="operator"))
    assert f"Agent is already shared with {EMAIL}" in problems(answer)
    assert Share.objects.get().role == "viewer"


def test_an_expired_share_is_not_shown_and_may_be_replaced(console, agent):
    over = timezone.now() - timedelta(seconds=1)
    expired = share(agent, make_user(email=EMAIL), expires_at=over)
    assert EMAIL not in console.get(page(agent)).content.decode()
    assert save(console, agent, new(role="operator")).status_code == 302
    made = Share.objects.get()
    assert (made.role, made.expires_at) == ("operator", None)
    assert made.pk != expired.pk


def test_a_share_ends_in_the_future(console, agent):
    answer = save(console, agent, new(expires_at_0="2020-01-01", expires_at_1="00:00:00"))
    assert "The end of a share must lie in the future" in problems(answer)
    assert not Share.objects.exists()


def test_role_and_end_are_changed_and_the_address_stays(console, agent):
    made = share(agent, make_user(email=EMAIL))
    changed = row_of(made, role="operator", email="other@example.org")
    assert save(console, agent, changed).status_code == 302
    now = Share.objects.get()
    assert (now.pk, now.email, now.role) == (made.pk, EMAIL, "operator")
    assert verbs() == ["change_share"]


def test_what_is_not_changed_is_not_recorded(console, agent):
    made = share(agent, make_user(email=EMAIL))
    assert save(console, agent, row_of(made)).status_code == 302
    assert verbs() == []


def test_a_share_is_withdrawn(console, agent):
    made = share(agent, make_user(email=EMAIL))
    assert save(console, agent, row_of(made, DELETE="on")).status_code == 302
    assert not Share.objects.exists()
    assert verbs() == ["unshare"]
