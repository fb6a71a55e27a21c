"""Empties the database after a test that commits: several hundred tests do.

Django's own way takes ten times as long: it makes all content types and permissions again,
which nothing here ever changes, and has PostgreSQL give each table a new file.
"""

from django.db import connections, transaction

# As the migrations left them: the rows that Django would make again.
KEPT = {"django_content_type", "auth_permission"}


def empty(test_case):
    """Stands in for ``TransactionTestCase._fixture_teardown``."""
    for alias in test_case._databases_names(include_mirrors=False):
        _empty(connections[alias])


def _empty(connection):
    found = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [connection.ops.quote_name(name) for name in sorted({*found} - KEPT)]
    # In any order: foreign keys are checked at the end of the transaction.
    with transaction.atomic(connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # As with TRUNCATE, nobody's unfinished transaction leaves a row behind.
            cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        for table in tables:
            cursor.execute(f"DELETE FROM {table}")
