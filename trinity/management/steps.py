"""The steps of ``manage.py up``, each of which says what it does and how long it took."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import CommandError, call_command

from agents import control, network
from agents.errors import EngineRefused, EngineUnavailable, ImageMissing, ReportOnly
from agents.models import Host
from agents.runtime import get_runtime
from trinity import data_directory
from trinity.checks import ZERO_SIGNATURE
from trinity.identity import create_first_administrator, is_set_up

Say = Callable[[str], None]
IMAGE = "trinity-agent-base:latest"
NO_REDIS = (
    "REDIS_URL is not set, and without it the halves of Trinity would each count rate limits and "
    "keep tickets and live events to themselves: set it, to the same in each, or run manage.py up, "
    "which needs none"
)


@contextmanager
def installation() -> Iterator[None]:
    """Use the data directory as long as the process runs; no restore can go on meanwhile."""
    try:
        with data_directory.in_use():
            yield
    except (data_directory.InUse, data_directory.Unfinished) as error:
        raise CommandError(str(error)) from error


@contextmanager
def half() -> Iterator[None]:
    """As ``installation``, for a process that is not alone."""
    if not settings.REDIS_URL:
        raise CommandError(NO_REDIS)
    with installation():
        yield


@contextmanager
def timed(say: Say, what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - started:.1f} s")


def prepare(say: Say) -> None:
    """Everything before the first request: tables, administrator, engine, image."""
    with timed(say, "database"):
        call_command("migrate", verbosity=0, interactive=False)
    first_administrator(say)
    with timed(say, "engine and agent image"):
        agent_image(say)
    tell_control(say)


def tell_control(say: Say) -> None:
    """Say so where Trinity only reports, and where it takes signatures of nobody."""
    if settings.TRINITY_ACCEPT_ZERO_SIGNATURE:
        say(f"WARNING: {ZERO_SIGNATURE}")
    host = Host.objects.local()
    try:
        control.check(host)
    except ReportOnly as error:
        say(f"report only: {error}")


def first_administrator(say: Say) -> None:
    if is_set_up():
        return
    password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
    user = create_first_administrator(password)
    shown = "the one of TRINITY_ADMIN_PASSWORD" if settings.ADMIN_PASSWORD else password
    say(f"first login: user {user.get_username()}, password {shown} (shown only now)")


def agent_image(say: Say) -> None:
    """Build the image; without an engine the product starts all the same, and says so."""
    try:
        engine = get_runtime().describe()
        say(f"engine: {engine.name}, {engine.cpus} cores, {engine.memory_bytes >> 30} GiB")
        get_runtime().build_image(IMAGE, say)
        agents_network(say)
    except EngineUnavailable as error:
        say(f"engine: away. {error}")
    except (EngineRefused, ImageMissing) as error:
        say(f"agent image: {error}")


def agents_network(say: Say) -> None:
    host = Host.objects.local()
    if host.report_only_since or control.doubt(host):
        return
    network.see_to(host, retry=True)
    say(f"network: {host.network_notice or 'agents reach the internet, and nothing of this host'}")
