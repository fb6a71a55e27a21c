"""Figures as people read them: mean, median, p95, sample size, ratio to the baseline."""

import os
from math import ceil
from statistics import mean, median


def p95(samples):
    """The smallest sample that at least 95 % of all do not exceed."""
    return sorted(samples)[ceil(len(samples) * 0.95) - 1]


class Table:
    def __init__(self, title, *notes, unit="ms"):
        self._title = title
        self._notes = notes
        self._load_before = os.getloadavg()[0]
        self._rows = [
            ("what", "n", f"mean {unit}", f"median {unit}", f"p95 {unit}", "against the baseline")
        ]

    def add(self, what, samples, *, ratio=""):
        figures = [f"{each(samples):.2f}" for each in (mean, median, p95)]
        self._rows.append((what, str(len(samples)), *figures, ratio))

    def print(self):
        widths = [max(map(len, column)) for column in zip(*self._rows, strict=True)]
        rule = "|".join("-" * (width + 2) for width in widths)
        first, *rest = [_line(row, widths) for row in self._rows]
        print("", f"## {self._title}", "", *self._notes, self._load, "", sep="\n")
        print(first, f"|{rule}|", *rest, "", sep="\n", flush=True)

    @property
    def _load(self):
        """Figures that were taken while others used the machine say little."""
        before, after = self._load_before, os.getloadavg()[0]
        return f"Load average of the machine: {before:.1f} before, {after:.1f} after."


def _line(row, widths):
    what, *figures = (
        text.ljust(width) if index == 0 else text.rjust(width)
        for index, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return f"| {' | '.join([what, *figures])} |"


def megabytes(count):
    return f"{count / 1e6:.0f} MB"


def times_faster(samples, baseline):
    return f"{median(baseline) / median(samples):.1f} times faster"


def times_as_long(samples, baseline):
    return f"{median(samples) / median(baseline):.2f} times as long"
