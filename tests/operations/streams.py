"""The stream of an operation as its viewers see it."""

from tests import streams
from tests.streams import lines_in

__all__ = ["lines_in", "viewing"]


def viewing(operation_id, user=None, **position):
    return streams.viewing(f"/api/v1/operations/{operation_id}/stream", user, **position)
