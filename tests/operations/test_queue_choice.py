"""Whose turn it is: fair between people, and never above a limit."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from operations.queue import Waiting, choose, in_turn

START = datetime(2026, 1, 1, tzinfo=UTC)
WIDE = {"agent": 99, "user": 99, "host": 99, "isolated": 99}

parties = st.one_of(st.sampled_from(["0xa", "0xb", ""]), st.integers(1, 4))
lines = st.lists(st.tuples(st.integers(1, 3), parties, st.booleans()), max_size=20)
limits = st.fixed_dictionaries({kind: st.integers(1, 6) for kind in WIDE})


def waiting(requests):
    """An operation for each agent, party and form, in the order in which they came."""
    return [
        Waiting(UUID(int=number), agent, party, isolated, START + timedelta(seconds=number))
        for number, (agent, party, isolated) in enumerate(requests, 1)
    ]


def of(*named):
    return waiting([(1, user, False) for user in named])


def parties_of(line):
    return [each.party for each in line]


def test_one_persons_operations_begin_in_the_order_in_which_they_came():
    line = of(1, 1, 1)
    assert in_turn(reversed(line), {}) == line


def test_who_asks_for_much_does_not_hold_up_who_asks_for_little():
    assert parties_of(in_turn(of(1, 1, 1, 1, 2, 3), {})) == [1, 2, 3, 1, 1, 1]


def test_who_was_served_last_comes_last_in_a_round():
    served = {1: START, 2: START - timedelta(seconds=5)}
    assert parties_of(in_turn(of(1, 1, 2, 3), served)) == [3, 2, 1, 1]


def test_each_signer_is_a_party_of_his_own():
    assert parties_of(in_turn(of("0xa", "0xa", "0xb", 2), {})) == ["0xa", "0xb", 2, "0xa"]


def test_who_waits_for_his_own_limit_holds_up_nobody():
    line = waiting([(1, 1, False), (1, 2, False), (2, 3, False)])
    chosen = choose(line, Counter(), WIDE | {"agent": 1})
    assert parties_of(chosen) == [1, 3]


def test_containers_of_their_own_have_a_limit_of_their_own():
    line = waiting([(1, 1, True), (1, 1, True), (1, 1, False)])
    chosen = choose(line, Counter(), WIDE | {"isolated": 1})
    assert [each.is_isolated for each in chosen] == [True, False]


@given(lines, lines, limits)
def test_no_limit_is_passed_and_no_place_left_empty(running, requests, at_most):
    taken = Counter()
    for each in choose(waiting(running), Counter(), at_most):
        taken.update(each.keys)
    line = in_turn(waiting(requests), {})
    chosen = choose(line, taken, at_most)
    for each in chosen:
        taken.update(each.keys)
    assert all(count <= at_most[kind] for (kind, _), count in taken.items())
    for left in set(line) - set(chosen):
        assert any(taken[key] == at_most[key[0]] for key in left.keys)


@given(lines)
def test_everybody_is_in_the_line_once(requests):
    line = waiting(requests)
    assert sorted(in_turn(line, {}), key=lambda each: each.id) == line


@given(st.lists(parties, min_size=1, max_size=25), st.integers(1, 4))
def test_places_go_round_among_all_who_wait(named, places):
    """Served one after the other, nobody gets two more than another who waits all the time."""
    line, served, counts, moment = of(*named), {}, Counter(), START
    while line:
        at_most = WIDE | {"host": places}
        for each in choose(in_turn(line, served), Counter(), at_most):
            moment += timedelta(seconds=1)
            line.remove(each)
            served[each.party] = moment
            counts[each.party] += 1
        still = {each.party for each in line}
        assert (
            max((counts[party] for party in still), default=0)
            - min((counts[party] for party in still), default=0)
            <= 1
        )
