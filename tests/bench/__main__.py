"""``python -m tests.bench [names]``: without a name all of them, one after the other."""

import argparse
import os
import platform
import sys
from contextlib import closing

from tests import engines
from tests.bench import (
    agent_list,
    firehose,
    first_line,
    idle_streams,
    log_latency,
    operation_firehose,
    operations_at_once,
    page,
    stats_cost,
)

BENCHMARKS = {
    "list": agent_list.run,
    "page": page.run,
    "log": log_latency.run,
    "firehose": firehose.run,
    "stats": stats_cost.run,
    "first-line": first_line.run,
    "operation-firehose": operation_firehose.run,
    "operations-at-once": operations_at_once.run,
    "idle-streams": idle_streams.run,
}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the samples: to see that it runs"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if not engines.answers():
        sys.exit("No container engine answers: `make engine` makes sure of one")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {_engine()}")
    for name in arguments.names or BENCHMARKS:
        BENCHMARKS[name](quick=arguments.quick)


def _engine():
    with closing(engines.client()) as engine:
        said = engine.version()
    return f"Docker {said['Version']}, kernel {said['KernelVersion']}"


main()
