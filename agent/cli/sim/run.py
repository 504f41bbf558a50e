"""clpsim run: a story of faults played on a configuration; what happened, and why."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from agent.cli import options
from agent.cli.client import OK, REFUSED, USAGE, CommandError
from agent.cli.sim import common
from agent.sim import script
from agent.sim.world import World


def add(verbs: common.Verbs) -> None:
    made = verbs.add_parser("run", help="play a script on a configuration")
    made.add_argument("file", type=Path, metavar="FILE", help="the script")
    made.add_argument("--conf", type=Path, required=True, metavar="CLP_CONF", help="the configuration")
    made.add_argument("--seed", type=int, default=0, help="of delays and the like (default 0)")
    common.add_json(made)
    made.set_defaults(play=_run)


def _run(arguments: argparse.Namespace) -> int:
    cluster = common.cluster(arguments.conf)
    text = common.read(arguments.file).decode("utf-8", "replace")
    try:
        world = script.play(cluster, text, arguments.seed, common.defaults())
    except script.ScriptError as error:
        raise CommandError(USAGE, f"{arguments.file}: {error}") from None
    if arguments.json:
        print(options.json_text(_played(world)))
    else:
        print(script.transcript(world), end="")
        for violation in world.violations:
            print(f"clpsim: {violation}", file=sys.stderr)
    return REFUSED if world.violations else OK


def _played(world: World) -> dict[str, Any]:
    return {
        "ok": not world.violations,
        "violations": world.violations,
        "digest": world.digest(),
        "lines": world.lines,
        "notes": msgspec.to_builtins(list(world.notes.values())),
        "active_on": {group.name: world.active_on(group.name) for group in world.cluster.groups},
    }
