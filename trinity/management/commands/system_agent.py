from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.models import Agent
from trinity.audit import SYSTEM, recorded


class Command(BaseCommand):
    help = (
        "Makes an agent a system agent, which nobody can delete over the API or in the admin; "
        "with --undo, one like any other."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--undo", action="store_true")

    def handle(self, *_args: Any, name: str, undo: bool, **_options: Any) -> None:
        agent = Agent.objects.present().filter(name=name).first()
        if agent is None:
            known = ", ".join(Agent.objects.present().values_list("name", flat=True)[:20])
            raise CommandError(f"There is no agent {name!r}. Agents: {known or 'none'}")
        verb = "unmark_system" if undo else "mark_system"
        with recorded(SYSTEM, verb, "agent", agent.name):
            agent.record(is_system=not undo)
        told = "an agent like any other" if undo else "a system agent: nobody can delete it"
        self.stdout.write(f"{agent.name} is {told}")
