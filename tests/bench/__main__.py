"""bin/bench [NAME ...]: runs benches, prints their tables; exit code 1 when a goal was missed."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial

from tests.bench import (
    configuration,
    crash_points,
    dom,
    failover,
    false,
    gaps,
    hub,
    idle,
    judges,
    many,
    mirror,
    mirror_disk,
    mirror_drbd,
    mirror_faults,
    mirror_resync,
    paused,
    pgbench,
    push,
    sim,
    whatif,
)  # fmt: skip
from tests.bench.goals import Outcome
from webmanager.demo.machine import BedError

BENCHES: dict[str, str] = {
    "failover": "outage after a crash of the active server, beside keepalived and pacemaker (12 min)",
    "idle": "memory and CPU of an idle agent, beside the same (5 min)",
    "false": "takeovers without a reason: load, loss, one-way links, stopped processes, a stuck disk (45 min)",
    "gaps": "silences between heartbeats and lateness of their processes, under load (5 min)",
    "paused": "does a server that slept serve after its successor has started (18 min)",
    "many": "32 servers: complete mesh, CPU at rest, take-over (3 min)",
    "dom": "from an event in the engine to its change in the browser (2 min)",
    "push": "1000 browsers, 1000 agents, a large page; beside stock Channels and polling; then `dom` (6 min)",
    "hub": "what one change costs the manager, at 3 servers and at 32 with 1000 resources (1 min)",
    "judges": "the same questions to crm_simulate and corosync-vqsim, thousands of each (20 min)",
    "whatif": "one failure, all failures, all pairs of 32 servers and 1000 resources, beside crm_simulate (10 min)",
    "configuration": "a file of 32 servers and 5000 objects: open, validate, compare, edit; in the Builder too (2 min)",
    "mutations": "10 000 generated configurations written back, 100 000 broken ones survived (30 min)",
    "mirror": "writes to two disks, beside the bare device, QEMU and GlusterFS (10 min)",
    "crashpoints": "10 000 simulated crash points of a mirror: either side, both, link, disk (2 min)",
    "mirrordisk": "the mirror on disks limited to 150 MB/s, beside such a disk without it (5 min)",
    "resync": "bringing a side up again: its rate, who writes meanwhile, an outage of 5 minutes (12 min)",
    "drbd": "beside DRBD with protocol C, in guests with Debian's kernel: QEMU, user-mode Linux (25 min)",
    "mirrorfaults": "100 rounds of faults each on ext4 and xfs, with a ledger, fio and fsck (60 min)",
    "pgbench": "PostgreSQL on a mirror disk through 20 failovers; no committed transaction may be lost (10 min)",
    "sim": "random faults in simulated time; no promise may break (long)",
}


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    say = partial(_say, time.monotonic()) if options.verbose else lambda line: None
    wanted = options.names or list(BENCHES)
    try:
        ended = [_bench(name, options, say) for name in wanted]
    except KeyboardInterrupt:
        return 130
    return 0 if all(ended) else 1


def _parser() -> argparse.ArgumentParser:
    text = "\n".join(f"  {name:<13} {words}" for name, words in BENCHES.items())
    out = argparse.ArgumentParser(
        prog="bench", description="Measurements against the project's goals.",
        epilog=f"benches (default: all):\n{text}", formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    out.add_argument("names", nargs="*", type=_name, metavar="NAME", help="which benches")
    out.add_argument("--quick", action="store_true", help="few rounds, to try it; its figures say little")
    out.add_argument(
        "--seeds",
        type=_seeds,
        default=None,
        metavar="A..B",
        help="of sim (default: 1..10000) and crashpoints; of mirrorfaults its rounds (1..100)",
    )
    out.add_argument(
        "--load",
        default="",
        metavar="TEXT",
        help="of false: only loads with this in their names; of mirrorfaults: only such faults; "
        "of drbd: only such guests",
    )
    out.add_argument("-v", "--verbose", action="store_true", help="tell each step on standard error")
    return out


def _name(text: str) -> str:
    if text not in BENCHES:
        raise argparse.ArgumentTypeError(f"{text!r} is no bench; there are {', '.join(BENCHES)}")
    return text


def _seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 1..10000") from None
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} holds no seed")
    return found


def _bench(name: str, options: argparse.Namespace, say: Callable[[str], None]) -> bool:
    run: dict[str, Callable[[], Outcome]] = {
        "failover": partial(failover.run, say, quick=options.quick),
        "idle": partial(idle.run, say, quick=options.quick),
        "false": partial(false.run, say, quick=options.quick, only=options.load),
        "gaps": partial(gaps.run, say, quick=options.quick),
        "paused": partial(paused.run, say, quick=options.quick),
        "many": partial(many.run, say, quick=options.quick),
        "dom": partial(dom.run, say, quick=options.quick),
        "push": partial(push.run, say, quick=options.quick),
        "hub": partial(hub.run, say, quick=options.quick),
        "judges": partial(judges.run, say, quick=options.quick),
        "whatif": partial(whatif.run, say, quick=options.quick),
        "configuration": partial(configuration.run, say, quick=options.quick),
        "mutations": partial(configuration.run_mutations, say, quick=options.quick),
        "mirror": partial(mirror.run, say, quick=options.quick),
        "crashpoints": partial(crash_points.run, say, quick=options.quick, seeds=options.seeds),
        "mirrordisk": partial(mirror_disk.run, say, quick=options.quick),
        "resync": partial(mirror_resync.run, say, quick=options.quick),
        "drbd": partial(mirror_drbd.run, say, quick=options.quick, only=options.load),
        "mirrorfaults": partial(mirror_faults.run, say, quick=options.quick, only=options.load, seeds=options.seeds),
        "pgbench": partial(pgbench.run, say, quick=options.quick),
        "sim": partial(sim.run, say, quick=options.quick, seeds=options.seeds),
    }
    start = time.monotonic()
    try:
        outcome = run[name]()
    except BedError as error:
        print(f"== {name}: failed: {error}\n", flush=True)
        return False
    except Exception:  # A mistake in one bench must not hide what the others measure.
        print(f"== {name}: failed:\n{traceback.format_exc()}", flush=True)
        return False
    print(outcome.text() + f"({name}: {time.monotonic() - start:.0f} s)\n", flush=True)
    return not outcome.missed


def _say(start: float, line: str) -> None:
    print(f"{time.monotonic() - start:7.1f} {line}", file=sys.stderr, flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
