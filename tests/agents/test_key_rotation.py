"""Replacing the key that encrypts: everything is sealed anew, in steps that can be repeated."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from agents.environment import Variable, set_variables, values_of
from agents.models import EnvironmentValue
from operations.models import Operation
from tests.factories import make_agent, make_operation
from trinity.audit import SYSTEM
from trinity.encryption import Unreadable, seal, unseal
from trinity.management.commands import rotate_keys

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _keys(settings):
    settings.ENCRYPTION_KEYS = ["old"]


@pytest.fixture
def agent():
    agent = make_agent()
    secrets = [Variable(f"SECRET_{number}", f"value {number}") for number in range(5)]
    set_variables(agent, SYSTEM, [*secrets, Variable("PLAIN", "shown", is_secret=False)])
    return agent


def rotate():
    out = StringIO()
    call_command("rotate_keys", stdout=out)
    return out.getvalue()


def test_the_first_key_seals_and_all_open(settings):
    sealed = seal({"TOKEN": "hush"})
    settings.ENCRYPTION_KEYS = ["new", "old"]
    assert unseal(sealed) == {"TOKEN": "hush"}
    settings.ENCRYPTION_KEYS = ["new"]
    with pytest.raises(Unreadable):
        unseal(sealed)


def test_after_a_rotation_the_new_key_opens_everything(agent, settings, monkeypatch):
    monkeypatch.setattr(rotate_keys, "BATCH", 2)
    operation = make_operation(environment=seal({"TOKEN": "hush"}))
    make_operation()
    before = values_of(agent)
    settings.ENCRYPTION_KEYS = ["new", "old"]
    assert rotate().startswith("6 values sealed")
    settings.ENCRYPTION_KEYS = ["new"]
    assert values_of(agent) == before
    assert before["PLAIN"] == "shown"
    operation.refresh_from_db()
    assert unseal(operation.environment) == {"TOKEN": "hush"}
    assert rotate().startswith("0 values sealed")
    assert Operation.objects.filter(environment=b"").count() == 1


def test_one_that_was_broken_off_is_finished_by_the_next(agent, settings, monkeypatch):
    settings.ENCRYPTION_KEYS = ["new", "old"]
    first = EnvironmentValue.objects.get(name="SECRET_0")
    column = rotate_keys.columns()[0]
    assert rotate_keys._seal_value(column, first.pk, first.value)
    assert rotate().startswith("4 values sealed")


def test_a_value_that_is_changed_meanwhile_is_left(agent, settings):
    settings.ENCRYPTION_KEYS = ["new", "old"]
    stale = EnvironmentValue.objects.get(name="SECRET_0")
    set_variables(agent, SYSTEM, [Variable("SECRET_0", "changed")])
    assert not rotate_keys._seal_value(rotate_keys.columns()[0], stale.pk, stale.value)
    assert values_of(agent)["SECRET_0"] == "changed"


def test_values_that_no_key_opens_are_told_and_kept(agent, settings):
    settings.ENCRYPTION_KEYS = ["new"]
    before = list(EnvironmentValue.objects.values_list("value", flat=True))
    with pytest.raises(CommandError, match="5 values cannot be read"):
        rotate()
    assert list(EnvironmentValue.objects.values_list("value", flat=True)) == before


def test_a_new_key_comes_before_the_one_that_is_kept(tmp_path, settings):
    settings.ENCRYPTION_KEY_FILE = tmp_path / "encryption.key"
    settings.ENCRYPTION_KEY_FILE.write_text("old")
    call_command("rotate_keys", "--new", stdout=StringIO())
    new, old = settings.ENCRYPTION_KEY_FILE.read_text().split()
    assert old == "old"
    assert len(new) == 64
    assert settings.ENCRYPTION_KEY_FILE.stat().st_mode & 0o777 == 0o600


def test_keys_of_the_environment_are_replaced_there(tmp_path, settings):
    settings.ENCRYPTION_KEY_FILE = tmp_path / "encryption.key"
    with pytest.raises(CommandError, match="TRINITY_ENCRYPTION_KEY"):
        call_command("rotate_keys", "--new", stdout=StringIO())
    assert not settings.ENCRYPTION_KEY_FILE.exists()
