"""What the verbs of clpsim share: files with their limits, the cluster of a clp.conf, processes, tables."""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from agent.catalog import specs
from agent.cli.client import USAGE, CommandError
from agent.clpconf.load import load
from agent.clpconf.model import Cluster
from agent.sim.script import ScriptError
from agent.sim.world import Defaults

_LARGEST_BYTES = 64 << 20
_MOST_JOBS = 64


def read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise CommandError(USAGE, f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > _LARGEST_BYTES:
        raise CommandError(USAGE, f"{path} is larger than {_LARGEST_BYTES >> 20} MiB: is it the right file?")
    return data


def cluster(path: Path) -> Cluster:
    loaded = load(read(path), specs())
    if loaded.cluster is None:
        first = loaded.errors[0]
        where = f"{path}:{first.line}:{first.column}: " if first.line else f"{path}: "
        raise CommandError(USAGE, f"{where}{first.text} {first.remedy}")
    return loaded.cluster


def defaults() -> Defaults:
    """Type -> types that it depends on unless the file says otherwise."""
    return {name: spec.depends_on for name, spec in specs().items()}


def cores() -> int:
    return len(os.sched_getaffinity(0))


def processes() -> BaseContext:
    """A command has one thread, so that a fork is safe; and it costs nothing."""
    return multiprocessing.get_context("fork")


def jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes from 1 to {_MOST_JOBS}")
    return int(text)


def add_json(made: argparse.ArgumentParser) -> None:
    """After the verb as well; where it is not given there, the word before counts."""
    made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")


def add_jobs(made: argparse.ArgumentParser) -> None:
    made.add_argument("--jobs", type=jobs, default=cores(), metavar="N", help="processes (default: one for each core)")


def add_slow(made: argparse.ArgumentParser) -> None:
    made.add_argument("--slow", type=_slow, action="append", default=[], metavar="RESOURCE=SECONDS",
                      help="how long its start takes (default 0.1 s)")  # fmt: skip


def _slow(text: str) -> tuple[str, float]:
    name, equals, seconds = text.rpartition("=")
    try:
        value = float(seconds)
    except ValueError:
        value = -1.0
    if not (name and equals and 0 <= value <= 86400):
        raise argparse.ArgumentTypeError(f"{text!r} is not like exec1=12.5")
    return name, value


def slow(pairs: Sequence[tuple[str, float]], of: Cluster) -> dict[str, float]:
    names = {resource.name for resource in of.resources}
    for name, _ in pairs:
        if name not in names:
            raise CommandError(USAGE, f'There is no resource "{name}". Use one of {", ".join(sorted(names))}.')
    return dict(pairs)


def bad_event(error: ScriptError, events: Sequence[str]) -> CommandError:
    """The number of the line is that of the event."""
    which = f"event {error.line}" if len(events) >= error.line else "the events"
    return CommandError(USAGE, f"{which}: {error.text} {error.remedy}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; the last one as long as it is."""
    lines = [head, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head) - 1)]
    made = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=True)]
        made.append("  ".join([*cells, line[-1]]).rstrip())
    return "\n".join(made)


def seconds(value: float | None) -> str:
    return "does not come back" if value is None else f"{value:.1f} s"


Verbs = Any  # argparse does not name the type of its sub-parsers
