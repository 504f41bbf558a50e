"""clpsim: play a cluster in simulated time, ask what would happen, look for what breaks it; no server is touched."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent.cli import options, replay
from agent.cli.client import OK, REFUSED, USAGE
from agent.cli.sim import fuzz, prove, run, sweep, whatif
from agent.sim import script

_VERBS = (run, fuzz, whatif, sweep, prove, replay)
_NOTES = f"""
  clpsim run FILE --conf clp.conf                   play the script FILE; print what happens, and why
  clpsim fuzz --seeds 1..1000 [--conf clp.conf]     random faults; print the seeds that break a promise
  clpsim whatif clp.conf --event 'crash server1'    where every group goes, when, and why
  clpsim sweep clp.conf [--double]                  every failure: what happens, what is not covered
  clpsim prove clp.conf                             can two servers run the same group? by which cuts?
  clpsim replay CASES.json                          recorded cases of other cluster managers; compare who runs what
{script.__doc__}
exit codes:
  {OK}  played; every promise held; everything is covered; two servers cannot run the same group
  {REFUSED}  a promise was broken, something is not covered, or two servers can run the same group
  {USAGE}  wrong usage, or a file that cannot be used
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpsim", arguments.json, lambda: int(arguments.play(arguments)))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpsim", "Play a cluster in simulated time. Nothing real is started or stopped.")
    made.epilog = _NOTES
    verbs = made.add_subparsers(required=True, metavar="run|fuzz|whatif|sweep|prove|replay")
    for verb in _VERBS:
        verb.add(verbs)
    return made.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
