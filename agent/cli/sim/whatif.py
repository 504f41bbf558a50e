"""clpsim whatif: what would happen to every group, in what order, when, and why."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from agent.cli import options
from agent.cli.client import OK, REFUSED
from agent.cli.sim import common
from agent.sim.script import ScriptError
from agent.sim.story import Fate, Story
from agent.sim.whatif import whatif


def add(verbs: common.Verbs) -> None:
    made = verbs.add_parser("whatif", help="what would happen: where every group goes, when, and why")
    made.add_argument("conf", type=Path, metavar="CLP_CONF", help="the configuration")
    made.add_argument("--event", action="append", required=True, dest="events", metavar="EVENT",
                      help="a step of the scenario language: 'crash server1', 'at 30 cut lanhb1', …")  # fmt: skip
    common.add_slow(made)
    common.add_json(made)
    made.set_defaults(play=_whatif)


def _whatif(arguments: argparse.Namespace) -> int:
    cluster = common.cluster(arguments.conf)
    slow = common.slow(arguments.slow, cluster)
    try:
        story = whatif(cluster, arguments.events, common.defaults(), slow)
    except ScriptError as error:
        raise common.bad_event(error, arguments.events) from None
    print(options.json_text(msgspec.to_builtins(story)) if arguments.json else _text(story))
    return REFUSED if story.doubles or any(_lost(fate) for fate in story.fates.values()) else OK


def _lost(fate: Fate) -> bool:
    return bool(fate.before) and fate.outage_s is None


def _text(story: Story) -> str:
    rows = [(fate.group, fate.before or "-", ", ".join(fate.after) or "-", _outage(fate), _why(fate))
            for fate in story.fates.values()]  # fmt: skip
    parts = [
        "After: " + "; ".join(story.events),
        common.table(("group", "before", "after", "outage", "why"), rows),
        "\n".join(["Steps", *(f"{step.at_s:10.3f} s  {step.text}{_rule(step.rule)}" for step in story.steps)]),
    ]
    parts += [
        f"NOT SAFE: {double.group} was active on {' and '.join(double.servers)} from {double.at_s:.1f} s"
        + (" on." if double.for_s is None else f" for {double.for_s:.1f} s.")
        for double in story.doubles
    ]
    if not story.at_rest:
        parts.append(f"The cluster did not come to rest within {story.lasted_s:.0f} s.")
    return "\n\n".join(parts)


def _outage(fate: Fate) -> str:
    if fate.outcome == "stays":
        return "none"
    return common.seconds(fate.outage_s)


def _why(fate: Fate) -> str:
    if fate.outcome == "stays":
        return "not concerned" if fate.before else "stopped"
    return f"{fate.why}{_rule(fate.rule)}"


def _rule(rule: str) -> str:
    return f" [{rule}]" if rule else ""
