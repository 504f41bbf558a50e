"""clpsim fuzz: random faults from seeds, on a standard cluster or on one's own; seeds that break a promise are made
small and can be played again."""

from __future__ import annotations

import argparse
import gc
import re
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from agent.cli import options
from agent.cli.client import OK, REFUSED
from agent.cli.sim import common
from agent.clpconf.model import Cluster
from agent.sim.fuzz import Result, fuzz, minimise
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import Defaults

_MOST_SERVERS = 32
_CHUNK = 20
_FEW = 40  # seeds for which starting processes is not worth it
_GARBAGE = 200_000  # things made before the collector looks: a world makes many, and throws all away at once
_MINIMISED = 3  # broken seeds that are made small


def add(verbs: common.Verbs) -> None:
    made = verbs.add_parser("fuzz", help="play random faults on a standard cluster, or on yours")
    made.add_argument(
        "--seeds", "--seed", type=_seeds, required=True, metavar="A..B", help="first and last seed, or one"
    )
    made.add_argument("--conf", type=Path, metavar="CLP_CONF", help="play this configuration")
    made.add_argument("--servers", type=_servers, default=3, metavar="N",
                      help="number of servers of the standard cluster (default 3)")  # fmt: skip
    made.add_argument("--safe", action="store_true", help="the standard cluster with majority and self-fencing")
    made.add_argument("--strict", action="store_true",
                      help="a split counts as broken also where the configuration does not rule it out")  # fmt: skip
    made.add_argument("--changes", action="store_true",
                      help="operators change the configuration of the running cluster meanwhile")  # fmt: skip
    made.add_argument("--trace", action="store_true", help="print all that happens (for one seed)")
    made.add_argument("--without", type=_numbers, default=frozenset(), metavar="N,N",
                      help="leave these faults of the seed out")  # fmt: skip
    common.add_jobs(made)
    common.add_json(made)
    made.set_defaults(play=_fuzz)


def _seeds(text: str) -> range:
    found = re.fullmatch(r"(\d{1,9})(?:\.\.(\d{1,9}))?", text)
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds: write 1..1000")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _servers(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= _MOST_SERVERS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of servers from 2 to {_MOST_SERVERS}")
    return int(text)


def _numbers(text: str) -> frozenset[int]:
    if not re.fullmatch(r"\d{1,6}(,\d{1,6})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of fault numbers: write 0,3,17")
    return frozenset(map(int, text.split(",")))


def _fuzz(arguments: argparse.Namespace) -> int:
    gc.set_threshold(_GARBAGE)
    cluster = common.cluster(arguments.conf) if arguments.conf else standard(arguments.servers, safe=arguments.safe)
    defaults = common.defaults() if arguments.conf else DEFAULTS
    begin, simulated_s, bad = time.monotonic(), 0.0, []
    for result in _results(cluster, defaults, arguments):
        simulated_s += result.simulated_s
        if arguments.trace and not arguments.json:
            print("\n".join(result.lines))
        if result.violations:
            bad.append(result)
            if not arguments.json:
                print("\n".join(result.violations), flush=True)
    took_s = max(time.monotonic() - begin, 1e-3)
    needed = {
        result.seed: _needed(cluster, defaults, result, _how(arguments))
        for result in bad[:_MINIMISED]
        if not arguments.trace
    }
    found = _found(arguments, cluster, bad, needed, simulated_s, took_s)
    print(options.json_text(found) if arguments.json else _text(arguments, found))
    return REFUSED if bad else OK


class How(NamedTuple):
    strict: bool
    changes: bool


def _how(arguments: argparse.Namespace) -> How:
    return How(arguments.strict, arguments.changes)


# Playing --------------------------------------------------------------------------------------------------------------

_played: tuple[Cluster, Defaults, How]  # of a worker process


def _begin(cluster: Cluster, defaults: Defaults, how: How) -> None:
    global _played
    _played = cluster, defaults, how


def _work(seed: int) -> Result:
    cluster, defaults, how = _played
    return _play(cluster, defaults, seed, how)._replace(lines=[])


def _play(cluster: Cluster, defaults: Defaults, seed: int, how: How, without: frozenset[int] = frozenset()) -> Result:
    """An exception in the engine breaks a promise as well."""
    try:
        return fuzz(cluster, seed, defaults, without=without, strict=how.strict, changes=how.changes)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"seed {seed}: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error}"
        return Result(seed, [text], "", 0.0, 0, traceback.format_exc().splitlines(), 0)


def _results(cluster: Cluster, defaults: Defaults, arguments: argparse.Namespace) -> Iterator[Result]:
    seeds = arguments.seeds
    if arguments.jobs < 2 or arguments.trace or arguments.without or len(seeds) < _FEW:
        for seed in seeds:
            yield _play(cluster, defaults, seed, _how(arguments), arguments.without)
        return
    with ProcessPoolExecutor(
        arguments.jobs, common.processes(), initializer=_begin, initargs=(cluster, defaults, _how(arguments))
    ) as pool:
        yield from pool.map(_work, seeds, chunksize=_CHUNK)


def _needed(cluster: Cluster, defaults: Defaults, result: Result, how: How) -> tuple[int, frozenset[int]]:
    """(faults of the seed, those that can be left out while it still fails)"""

    def fails(without: frozenset[int]) -> bool:
        return bool(_play(cluster, defaults, result.seed, how, without).violations)

    return result.faults, minimise(fails, result.faults)


# Telling --------------------------------------------------------------------------------------------------------------


def _found(
    arguments: argparse.Namespace, cluster: Cluster, bad: list[Result],
    needed: dict[int, tuple[int, frozenset[int]]], simulated_s: float, took_s: float,
) -> dict[str, Any]:  # fmt: skip
    return {
        "ok": not bad, "seeds": len(arguments.seeds), "servers": len(cluster.servers), "safe": arguments.safe,
        "simulated_hours": round(simulated_s / 3600, 2),
        "simulated_hours_per_minute": round(simulated_s / 60 / took_s, 1),
        "times_real": round(simulated_s / took_s), "seeds_per_second": round(len(arguments.seeds) / took_s, 1),
        "broken": {result.seed: result.violations for result in bad},
        "replay": {seed: _again(arguments, seed, without) for seed, (_, without) in needed.items()},
        "needs": {seed: [faults - len(without), faults] for seed, (faults, without) in needed.items()},
    }  # fmt: skip


def _again(arguments: argparse.Namespace, seed: int, without: frozenset[int]) -> str:
    cluster = f"--conf {arguments.conf}" if arguments.conf else f"--servers {arguments.servers}"
    safe = (" --safe" if arguments.safe else "") + (" --strict" if arguments.strict else "")
    safe += " --changes" if arguments.changes else ""
    left_out = f" --without {','.join(map(str, sorted(without)))}" if without else ""
    return f"clpsim fuzz --seed {seed} {cluster}{safe}{left_out} --trace"


def _text(arguments: argparse.Namespace, found: dict[str, Any]) -> str:
    lines = [
        f"seed {seed} fails with {few} of its {all_} faults; to see it: {found['replay'][seed]}"
        for seed, (few, all_) in found["needs"].items()
    ]
    lines.append(f"{found['seeds']} seeds, {len(found['broken'])} broken; {found['simulated_hours']} hours simulated, "
                 f"{found['simulated_hours_per_minute']} hours per minute ({found['times_real']} times real time, "
                 f"{found['seeds_per_second']} seeds a second).")  # fmt: skip
    return "\n".join(lines)
