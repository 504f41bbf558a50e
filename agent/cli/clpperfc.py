"""clpperfc: how long the checks of monitor resources take, as an integer for scripts or as a table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.cli import client, options

Json = Mapping[str, Any]

_NOTES = """
  clpperfc -m MONITOR [-h SERVER]   the newest check of this monitor on this server, in ms, rounded up: one integer
  clpperfc [-h SERVER | -a]         all monitors: usual, worst, share of the timeout, proposed timeout
  Figures are of good answers, of the newest 12 to 24 hours; checks that were given up are counted apart.
"""
_WHY = {
    "worst": "twice the longest answer",
    "tail": "one answer in 10 000 may take that long",
    "warning": "the longest answer stays below the delay warning",
    "least": "never less than a second",
}
_HEAD = ("MONITOR", "SERVER", "STATUS", "P50", "P95", "P99", "WORST", "WHEN", "OF TIMEOUT", "GIVEN UP", "PROPOSED")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpperfc", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpperfc", "Show how long the checks of monitor resources take.", _NOTES)
    made.add_argument("-m", dest="monitor", default="", metavar="MONITOR", help="this one: one integer, in ms")
    where = made.add_mutually_exclusive_group()
    where.add_argument("-h", dest="host", default="", metavar="SERVER", help="on that server")
    where.add_argument("-a", dest="all", action="store_true", help="on all servers")
    arguments = made.parse_args(argv)
    if arguments.monitor and arguments.all:
        made.error("-m prints one number, so it takes one server: -h SERVER")
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    view = client.status()
    server = "" if arguments.all else arguments.host or view.me
    if server:
        options.need_server(server, view.status["servers"])
    if arguments.monitor:
        return _one(view.status, arguments.monitor, server, as_json=arguments.json)
    rows = list(_rows(view.status, server))
    if arguments.json:
        print(options.json_text(rows))
        return client.OK
    lines = [_HEAD, *map(_line, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    return client.OK


def _one(status: Json, name: str, server: str, *, as_json: bool) -> int:
    monitor = status["monitors"].get(name)
    if monitor is None:
        known = options.names(list(status["monitors"]))
        raise client.CommandError(client.REFUSED, f"There is no monitor {name}. Known: {known}.")
    there = monitor["servers"].get(server)
    if there is None:
        raise client.CommandError(client.REFUSED, f"{name} does not run on {server}.")
    lately = (there["responses"] or {}).get("lately")
    newest = lately[1] if lately else there["elapsed_ms"]
    if not newest:
        raise client.CommandError(
            client.REFUSED, f"{name} has no good answer on {server} yet; it is {there['status']}."
        )
    if as_json:
        print(options.json_text({"monitor": name, "server": server, "ms": newest, **there}))
    else:
        print(max(1, round(newest)))
    return client.OK


def _rows(status: Json, server: str) -> Iterator[dict[str, Any]]:
    for monitor in sorted(status["monitors"].values(), key=lambda one: str(one["name"])):
        for name, there in monitor["servers"].items():
            if server in ("", name):
                yield {"monitor": monitor["name"], "server": name, "status": there["status"],
                       "timeout_ms": monitor["timeout_ms"], "responses": there["responses"]}  # fmt: skip


def _line(row: Json) -> tuple[str, ...]:
    head, found = (row["monitor"], row["server"], row["status"]), row["responses"]
    if not found or not found["count"]:
        given_up = str(found["timeouts"]) if found else "-"
        return *head, "-", "-", "-", "-", "-", "-", given_up, "-"
    figures = (_ms(found[key]) for key in ("p50_ms", "p95_ms", "p99_ms", "worst_ms"))
    when = time.strftime("%H:%M:%S", time.localtime(found["worst_at"]))
    share = f"{found['worst_percent']} % of {_ms(row['timeout_ms'])}"
    proposed = f"{_ms(found['proposed_ms'])} ({_WHY[found['rule']]})" if found["proposed_ms"] else "-"
    return *head, *figures, when, share, str(found["timeouts"]), proposed


def _ms(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f} s"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
