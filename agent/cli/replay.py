"""clpsim replay: recorded cases of other cluster managers, decided by our engine, compared with what they did."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agent.cli import options
from agent.cli.client import OK, REFUSED, USAGE, CommandError
from agent.sim.replay.player import replay_all
from agent.sim.replay.reading import LARGEST_BYTES, CasesError, read
from agent.sim.replay.rules import RULES
from agent.sim.replay.verdict import Result, Totals

HELP = "decide recorded cases of other cluster managers and compare"


def add(verbs: Any) -> None:
    """The sub-command of clpsim."""
    made = verbs.add_parser("replay", help=HELP)
    made.add_argument("file", type=Path, metavar="CASES.json", help="a list of recorded cases")
    made.add_argument("--case", default="", metavar="ID", help="only this case")
    made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
    made.set_defaults(play=replay)


def replay(arguments: argparse.Namespace) -> int:
    """Prints each case as soon as it is decided. REFUSED when a promise was broken or a difference has no rule."""
    results = []
    for result in replay_all(_cases(arguments.file), arguments.case):
        results.append(result)
        if not arguments.json:
            print("\n".join(result.lines()), flush=True)
    if arguments.case and not results:
        raise CommandError(USAGE, f"{arguments.file} has no case {arguments.case!r}; leave --case out to see all.")
    totals = Totals.of(results)
    print(options.json_text(_object(results, totals)) if arguments.json else totals.line())
    return REFUSED if totals.violations else OK


def _object(results: list[Result], totals: Totals) -> dict[str, Any]:
    used = sorted({d.rule for r in results for d in r.differences} & set(RULES))
    return {
        "ok": not totals.violations, "cases": [result.as_json() for result in results],
        "totals": {"cases": totals.cases, "agree": totals.agree, "policy_differences": totals.differ,
                   "violations": totals.violations},
        "rules": {rule: RULES[rule] for rule in used}, "summary": totals.line(),
    }  # fmt: skip


def _cases(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            return read(file.read(LARGEST_BYTES + 1))
    except OSError as error:
        raise CommandError(USAGE, f"{path} cannot be read: {error.strerror}.") from None
    except CasesError as error:
        raise CommandError(USAGE, f"{path} cannot be used. {error}") from None
