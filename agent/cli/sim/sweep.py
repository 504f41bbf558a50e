"""clpsim sweep: every single failure, or every pair of server failures, in a table that says what is not covered."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from agent.cli import options
from agent.cli.client import OK, REFUSED
from agent.cli.sim import common
from agent.sim.story import Fate
from agent.sim.sweep import Row, Sweep, sweep

_LINES = 40  # of the list of what is not covered
_STARTS = ("start", "monitor", "unwatched")


def add(verbs: common.Verbs) -> None:
    made = verbs.add_parser("sweep", help="every single failure: where each group goes, and what is not covered")
    made.add_argument("conf", type=Path, metavar="CLP_CONF", help="the configuration")
    made.add_argument("--double", action="store_true", help="every pair of servers instead")
    common.add_slow(made)
    common.add_jobs(made)
    common.add_json(made)
    made.set_defaults(play=_sweep)


def _sweep(arguments: argparse.Namespace) -> int:
    cluster = common.cluster(arguments.conf)
    slow = common.slow(arguments.slow, cluster)
    found = sweep(cluster, common.defaults(), double=arguments.double, slow=slow, jobs=arguments.jobs,
                  context=common.processes())  # fmt: skip
    print(options.json_text(_object(found)) if arguments.json else _text(found))
    return REFUSED if found.gaps else OK


def _object(found: Sweep) -> dict[str, Any]:
    return {
        "ok": not found.gaps, "failures": len(found.rows), "not_covered": len(found.gaps),
        "rows": msgspec.to_builtins(found.rows),
    }  # fmt: skip


def _text(found: Sweep) -> str:
    rows = [row for same in _grouped(found.rows) for row in _lines(same)]
    parts = [common.table(("failure", "covered", "what happens"), rows)]
    if found.gaps:
        told = [f"  {row.failure.text}: {_where(gap.group)}{gap.why}" for row in found.gaps for gap in row.gaps]
        more = [f"  … and {len(told) - _LINES} more (all of them: --json)"] if len(told) > _LINES else []
        parts.append("\n".join(["NOT COVERED", *told[:_LINES], *more]))
    count = len(found.rows)
    parts.append(f"{count} failures, {count - len(found.gaps)} covered, {len(found.gaps)} not covered.")
    return "\n\n".join(parts)


def _where(group: str) -> str:
    return f"{group}: " if group else ""


def _grouped(rows: Iterable[Row]) -> Iterable[list[Row]]:
    """Resources of the same group that fare alike share a line."""
    return (list(same) for _, same in groupby(rows, key=_likeness))


def _likeness(row: Row) -> tuple[Any, ...]:
    if row.failure.kind not in _STARTS:
        return (row.failure.text,)
    group = row.fates[0].group if row.fates else row.gaps[0].group if row.gaps else ""
    return row.failure.kind, group, row.covered, tuple((f.group, f.outcome, f.after) for f in row.fates)


def _lines(same: Sequence[Row]) -> Iterable[tuple[str, str, str]]:
    first = same[0]
    names = ", ".join(row.failure.name for row in same)
    text = first.failure.text if len(same) == 1 else first.failure.text.replace(first.failure.name, names, 1)
    fates = (
        first.fates if len(same) == 1 else [_merged([row.fates[n] for row in same]) for n in range(len(first.fates))]
    )
    yield text, "yes" if first.covered else "NO", "; ".join(map(_fate, fates)) or _nothing(first)


def _merged(fates: Sequence[Fate]) -> Fate:
    """The longest of their outages."""
    return max(fates, key=lambda fate: float("inf") if fate.outage_s is None else fate.outage_s)


def _nothing(row: Row) -> str:
    return "nobody notices" if row.failure.kind == "unwatched" else "no group is concerned"


def _fate(fate: Fate) -> str:
    to = " and ".join(fate.after)
    texts = {
        "moves": f"{fate.group} moves to {to} in {common.seconds(fate.outage_s)}",
        "starts": f"{fate.group} starts on {to} in {common.seconds(fate.outage_s)}",
        "restarts": f"{fate.group} restarts on {to} in {common.seconds(fate.outage_s)}",
        "stops": f"{fate.group} stops",
        "split": f"{fate.group} RUNS TWICE, on {to}",
        "stays": f"{fate.group} stays",
    }
    return texts[fate.outcome]
