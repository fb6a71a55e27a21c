"""Waiting for a condition, with a deadline."""

import time


def wait_until(condition, *, seconds=10.0, step=0.02):
    """Return the condition's first true value; fail when it does not come in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        time.sleep(step)
