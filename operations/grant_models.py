"""Grants as they are stored; ``operations.grants`` is what they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from agents.models import Agent
from operations.parameters import BadParameter, Parameter, placeholders
from operations.signatures import ADDRESS, ZERO_ADDRESS, is_mistyped

if TYPE_CHECKING:
    from datetime import datetime

LONGEST_SECONDS = 7 * 86_400


def next_permission_id() -> int:
    last = Grant.objects.aggregate(models.Max("permission_id"))["permission_id__max"]
    return (last or 0) + 1


class Grant(models.Model):
    """What may be run in an agent by whoever signs for it with one of the named accounts."""

    permission_id = models.PositiveBigIntegerField(
        unique=True,
        default=next_permission_id,
        help_text="The number that a signed request names it by. Cannot be changed later",
    )
    description = models.CharField(max_length=200, blank=True)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="grants")
    command = models.JSONField(
        default=list,
        blank=True,
        help_text='A program and its arguments, such as ["report", "--year={year}"]. A parameter '
        "in braces is put in as text of its argument; no shell sees it. Or a prompt, below",
    )
    prompt = models.TextField(
        blank=True, help_text="What the agent is asked, with parameters in braces"
    )
    parameters = models.JSONField(
        default=dict,
        blank=True,
        help_text='What the caller may set, such as {"year": {"type": "integer", "minimum": 2000, '
        '"maximum": 2100}}. Types: text, integer, boolean. More in docs/grants.md',
    )
    signers = models.JSONField(
        default=list, help_text="Ethereum addresses, one in a line, that may sign"
    )
    valid_until = models.DateTimeField(
        null=True, blank=True, help_text="Empty: until it is disabled"
    )
    is_enabled = models.BooleanField(
        "enabled",
        default=True,
        help_text="Disabled, it allows nothing, and the poll tokens it has led to open nothing",
    )
    allows_repeats = models.BooleanField(
        default=False,
        help_text="Whoever has seen a signed request may send it again, as often as he likes",
    )
    timeout_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_SECONDS)],
        help_text="After so many seconds the operation is ended. Empty: never",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", editable=False
    )

    class Meta:
        ordering = ["permission_id"]

    def __str__(self) -> str:
        return (
            f"{self.permission_id} ({self.description})"
            if self.description
            else (str(self.permission_id))
        )

    def clean(self) -> None:
        errors: dict[str, Any] = {}
        for field, check in (
            ("command", self._check_command),
            ("signers", self._check_signers),
            ("parameters", self._check_parameters),
        ):
            try:
                check()
            except ValueError as error:
                errors[field] = str(error)
        if errors:
            raise ValidationError(errors)
        self.signers = [address.lower() for address in self.signers]

    def _check_command(self) -> None:
        command = self.command
        if not isinstance(command, list) or not all(isinstance(each, str) for each in command):
            raise ValueError('A list of texts, such as ["report", "--all"]')
        if bool(command) == bool(self.prompt.strip()):
            raise ValueError("Either a command or a prompt")
        if command and (not command[0] or placeholders(command[0])):
            raise ValueError("It begins with the program, which is not for the caller to set")

    def _check_signers(self) -> None:
        if not isinstance(self.signers, list) or not self.signers:
            raise ValueError("At least one address")
        for address in self.signers:
            if not isinstance(address, str) or not ADDRESS.fullmatch(address):
                raise ValueError(f"{address} is no address: 0x and 40 hexadecimal digits")
            if address == ZERO_ADDRESS:
                raise ValueError("Nobody has the key of the zero address")
            if is_mistyped(address):
                raise ValueError(f"{address} is mistyped: its checksum is wrong")

    def _check_parameters(self) -> None:
        if not isinstance(self.parameters, dict):
            raise BadParameter("An object with a description for each name")
        templates = [self.prompt, *(self.command if isinstance(self.command, list) else [])]
        used = {name for template in templates for name in placeholders(str(template))}
        for name, described in self.described().items():
            if described.env is None and name not in used:
                raise BadParameter(f"{name} is put in nowhere: write {{{name}}}, or name an env")

    def described(self) -> dict[str, Parameter]:
        """Return the parameters by their names; raise BadParameter for a wrong description."""
        return {name: Parameter.described(name, told) for name, told in self.parameters.items()}

    def is_over(self, at: datetime) -> bool:
        return self.valid_until is not None and self.valid_until <= at


class SignedText(models.Model):
    """A text that was acted on once, so that nobody who has seen it can have that done again."""

    grant = models.ForeignKey(Grant, models.CASCADE, related_name="+")
    #: Of signer and text, not of the signature: one text has many valid ones.
    digest = models.CharField(max_length=64)
    #: When the text itself does not count any more; null where it never ends.
    expires_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint("grant", "digest", name="signed_text_once")]

    def __str__(self) -> str:
        return f"{self.digest} of {self.grant_id}"
