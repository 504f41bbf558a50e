"""clpsim: play a story of faults on a configuration, or look for a story that breaks it; no server is touched."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.catalog import specs
from agent.cli import options
from agent.cli.client import OK, REFUSED, USAGE, CommandError
from agent.clpconf.load import load
from agent.clpconf.model import Cluster
from agent.sim import script
from agent.sim.fuzz import Result, fuzz
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World

_LARGEST_BYTES = 64 << 20
_MOST_SERVERS = 32
_NOTES = f"""
  clpsim run FILE --conf clp.conf         play the script FILE; print what happens, and why
  clpsim fuzz --seeds 1..1000             random faults; print the seeds that break a promise
{script.__doc__}
exit codes:
  {OK}  played; every promise held
  {REFUSED}  a promise was broken: a group was active twice where that must not happen, or did not come to rest
  {USAGE}  wrong usage, or a file that cannot be used
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpsim", arguments.json, lambda: int(arguments.play(arguments)))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpsim", "Play a cluster in simulated time. Nothing real is started or stopped.")
    made.epilog = _NOTES
    verbs = made.add_subparsers(required=True, metavar="run|fuzz")
    run = verbs.add_parser("run", help="play a script on a configuration")
    run.add_argument("file", type=Path, metavar="FILE", help="the script")
    run.add_argument("--conf", type=Path, required=True, metavar="CLP_CONF", help="the configuration")
    run.add_argument("--seed", type=int, default=0, help="of delays and the like (default 0)")
    run.set_defaults(play=_run)
    search = verbs.add_parser("fuzz", help="play random faults on a standard cluster")
    search.add_argument("--seeds", type=_seeds, required=True, metavar="A..B", help="first and last seed")
    search.add_argument("--servers", type=_servers, default=3, metavar="N", help="number of servers (default 3)")
    search.add_argument("--safe", action="store_true", help="with majority resolution and self-fencing")
    search.set_defaults(play=_fuzz)
    for verb in (run, search):  # After the verb as well; where it is not given there, the word before counts.
        verb.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
    return made.parse_args(argv)


def _seeds(text: str) -> range:
    found = re.fullmatch(r"(\d{1,9})(?:\.\.(\d{1,9}))?", text)
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds: write 1..1000")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _servers(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= _MOST_SERVERS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of servers from 2 to {_MOST_SERVERS}")
    return int(text)


# run ------------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    cluster = _cluster(arguments.conf)
    text = _read(arguments.file).decode("utf-8", "replace")
    defaults = {name: spec.depends_on for name, spec in specs().items()}
    try:
        world = script.play(cluster, text, arguments.seed, defaults)
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


def _cluster(path: Path) -> Cluster:
    loaded = load(_read(path), specs())
    if loaded.cluster is None:
        first = loaded.errors[0]
        where = f"{path}:{first.line}:{first.column}: " if first.line else f"{path}: "
        raise CommandError(USAGE, f"{where}{first.text} {first.remedy}")
    return loaded.cluster


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise CommandError(USAGE, f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > _LARGEST_BYTES:
        raise CommandError(USAGE, f"{path} is larger than {_LARGEST_BYTES >> 20} MiB: is it the right file?")
    return data


# fuzz -----------------------------------------------------------------------------------------------------------


def _fuzz(arguments: argparse.Namespace) -> int:
    cluster = standard(arguments.servers, safe=arguments.safe)
    begin, simulated_s, bad = time.monotonic(), 0.0, []
    for result in _results(cluster, arguments.seeds):
        simulated_s += result.simulated_s
        if result.violations:
            bad.append(result)
            if not arguments.json:
                print("\n".join(result.violations), flush=True)
    rate = simulated_s / 60 / max(time.monotonic() - begin, 1e-3)
    found = {
        "ok": not bad, "seeds": len(arguments.seeds), "servers": arguments.servers, "safe": arguments.safe,
        "simulated_hours": round(simulated_s / 3600, 2), "simulated_hours_per_minute": round(rate, 1),
        "broken": {result.seed: result.violations for result in bad},
    }  # fmt: skip
    if arguments.json:
        print(options.json_text(found))
    else:
        print(f"{found['seeds']} seeds, {len(bad)} broken; {found['simulated_hours']} hours simulated, "
              f"{found['simulated_hours_per_minute']} hours per minute.")  # fmt: skip
    return REFUSED if bad else OK


def _results(cluster: Cluster, seeds: Iterable[int]) -> Iterable[Result]:
    return (fuzz(cluster, seed, DEFAULTS, faults_s=30.0) for seed in seeds)


if __name__ == "__main__":
    sys.exit(main())
