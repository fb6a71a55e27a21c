"""Whatever happens to an operation in whatever order, it ends once and stays as it ended."""

from contextlib import suppress

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agents.errors import LeaseLost
from agents.models import Activity, Agent, Host
from operations import endings, queue, requests
from operations.errors import Finished
from operations.models import Operation
from operations.requests import NewOperation
from operations.supervisor import lease_guard
from tests.factories import make_running_agent
from trinity.audit import SYSTEM
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)

Status = Operation.Status
# As the program's end, a timeout, a cancellation and the loss of its container are recorded.
OUTCOMES = [
    (Status.SUCCEEDED, "", 0),
    (Status.FAILED, "exited", 3),
    (Status.FAILED, "timeout", -15),
    (Status.FAILED, "lost", None),
    (Status.CANCELED, "", -9),
]


class States(RuleBasedStateMachine):
    """One operation among supervisors that come and go, each knowing it as it once was."""

    supervisors = Bundle("supervisors")

    @initialize()
    def ask(self):
        Host.objects.update(lease_holder="", lease_epoch=0, lease_expires_at=None)
        Operation.objects.all().delete()
        self.agent = make_running_agent()
        new = NewOperation(command=["true"], env={"SECRET": "x"})
        self.id = requests.request_operation(self.agent, SYSTEM, new).pk
        self.epoch = 0
        self.cancels = 0
        self.ended = []
        self.path = [Status.STARTING]

    def stored(self):
        return Operation.objects.select_related("agent__host").get(pk=self.id)

    @rule(target=supervisors)
    def begin_supervising(self):
        self.epoch += 1
        Host.objects.update(lease_epoch=self.epoch)
        return self.epoch, self.stored()

    def write(self, supervisor, work):
        """Write as the supervisor does: not at all when another has taken over."""
        epoch, operation = supervisor
        with suppress(LeaseLost), transaction.atomic():
            lease_guard(operation.agent.host_id, epoch)()
            work(operation)

    @rule(supervisor=supervisors)
    def admit(self, supervisor):
        self.write(supervisor, lambda operation: queue.admit(operation.agent.host_id))

    @rule(supervisor=supervisors)
    def start(self, supervisor):
        # What has no place is not begun.
        self.write(supervisor, lambda known: self.has_place() and known.mark_processing())

    def has_place(self):
        _, placed = queue.standing(self.stored().agent.host_id)
        return self.id in [each.id for each in placed]

    @rule(supervisor=supervisors, outcome=st.sampled_from(OUTCOMES))
    def end(self, supervisor, outcome):
        status, error, exit_code = outcome

        def finish(operation):
            if not self.has_place():
                return
            endings.end(operation, status, error=error, exit_code=exit_code)

        self.write(supervisor, finish)

    @rule(supervisor=consumes(supervisors))
    def kill(self, supervisor):
        pass

    @rule()
    def cancel(self):
        was = self.stored()
        try:
            requests.cancel(was, SYSTEM)
        except Finished:
            assert was.is_finished
        self.cancels += 1

    @rule(status=st.sampled_from(["stopped", "error", "running"]))
    def change_agent(self, status):
        Agent.objects.filter(pk=self.agent.pk).update(status=status)

    @invariant()
    def it_goes_only_forward_and_ends_once(self):
        now = self.stored()
        if now.status != self.path[-1]:
            assert self.path[-1] in {Status.STARTING, Status.PROCESSING}
            assert now.status != Status.STARTING
            self.path.append(now.status)
        if now.is_finished:
            end = (now.status, now.error, now.exit_code, now.finished_at)
            self.ended = self.ended or [end]
            assert [end] == self.ended
        assert (now.finished_at is not None) == now.is_finished
        assert (bytes(now.environment) == b"") == now.is_finished

    @invariant()
    def its_activity_ends_with_it_and_each_request_is_in_the_audit_trail(self):
        is_finished = self.stored().is_finished
        [activity] = Activity.objects.filter(related_execution_id=str(self.id))
        assert (activity.completed_at is not None) == is_finished
        told = AuditEvent.objects.filter(verb="cancel", object_name=str(self.id))
        assert told.count() == self.cancels


def test_any_order_of_events_ends_it_once():
    run_state_machine_as_test(States, settings=settings(max_examples=25, stateful_step_count=15))
