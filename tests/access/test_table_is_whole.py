"""What is served and stands in no line of the table has nobody who thought of whose it is."""

from collections import defaultdict

import pytest

from tests.access import routes
from tests.access.table import ACTIONS, ADMIN, API, PAGES, STREAMS, TOPICS
from tests.factories import make_administrator


def of_lines(lines):
    found = defaultdict(set)
    for line in lines:
        found[line.path].add(line.method)
    return found


def test_every_url_of_django_is_in_the_table():
    lines = of_lines([*API, *PAGES, *ADMIN, *STREAMS])
    served = dict(routes.urls())
    assert not served.keys() ^ lines.keys()
    beside = of_lines(STREAMS)
    for path, methods in served.items():
        if methods is not None:
            # Django's views may name what is answered beside them, for the documentation.
            assert lines[path] - beside[path] <= methods <= lines[path], path


def test_everything_beside_django_is_in_the_table():
    served = [(method, path) for method, path in routes.beside()]
    assert sorted(served) == sorted((line.method, line.path) for line in STREAMS)


def test_every_topic_is_in_the_table():
    assert sorted(routes.topics()) == sorted(line.path for line in TOPICS)


@pytest.mark.django_db
def test_every_action_of_the_admin_is_in_the_table():
    served = routes.actions(make_administrator())
    assert sorted(served) == sorted(line.path for line in ACTIONS)
