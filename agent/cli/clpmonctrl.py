"""clpmonctrl: suspend and resume monitor resources, pretend a failure of one and end it, tell how they are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli import client, options
from agent.cli.operate import Wish, fulfil, report

Json = Mapping[str, Any]

_NOTES = """
  clpmonctrl -s [-m MONITOR ...] [-h SERVER | -a]   suspend: nothing is checked, nothing is recovered
  clpmonctrl -r [-m MONITOR ...] [-h SERVER | -a]   resume
  clpmonctrl -e  -m MONITOR ...  [-h SERVER | -a]   pretend that it finds an error: its recovery really runs
  clpmonctrl -n [-m MONITOR ...] [-h SERVER | -a]   end the pretended error
  clpmonctrl -v [-m MONITOR ...] [-h SERVER | -a]   print state, time of the newest run and recoveries
  Without -h or -a: on this server only. Without -m: all monitors that run there.
"""
_OPS = {
    "suspend": ("monitor_suspend", "Suspend"),
    "resume": ("monitor_resume", "Resume"),
    "fail": ("monitor_fail", "Fail"),
    "mend": ("monitor_mend", "Mend"),
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpmonctrl", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpmonctrl", "Suspend, resume and try monitor resources.", _NOTES)
    what = made.add_mutually_exclusive_group(required=True)
    options.add_verbs(
        what,
        ("-s", "suspend", "suspend"),
        ("-r", "resume", "resume"),
        ("-e", "fail", "pretend an error (dummy failure)"),
        ("-n", "mend", "end the pretended error"),
        ("-v", "show", "print how they are"),
    )
    made.add_argument("-m", dest="monitors", nargs="+", default=[], metavar="MONITOR", help="these monitors only")
    where = made.add_mutually_exclusive_group()
    where.add_argument("-h", dest="host", default="", metavar="SERVER", help="on that server")
    where.add_argument("-a", dest="all", action="store_true", help="on all servers where they run")
    options.add_timeout(made)
    arguments = made.parse_args(argv)
    if arguments.what == "fail" and not arguments.monitors:
        made.error("-e needs -m: a pretended error of every monitor would fail everything over")
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    view = client.status()
    server = "" if arguments.all else arguments.host or view.me
    if server:
        options.need_server(server, view.status["servers"])
    chosen = _chosen(view.status, arguments.monitors, server)
    if arguments.what == "show":
        return _show(chosen, server, as_json=arguments.json)
    op, verb = _OPS[arguments.what]
    wishes = [Wish(op, verb, m["name"], target=m["name"], server=server) for m in chosen]
    done = fulfil(wishes, "clpmonctrl", arguments.timeout, quiet=arguments.json)
    return report("clpmonctrl", done, arguments.json, named=len(arguments.monitors) != 1)


def _chosen(status: Json, names: Sequence[str], server: str) -> list[Json]:
    """A monitor that was named is asked for wherever it is: the refusal says where it runs."""
    monitors = status["monitors"]
    if unknown := next((name for name in names if name not in monitors), ""):
        known = options.names(list(monitors))
        raise client.CommandError(client.REFUSED, f"There is no monitor {unknown}. Known: {known}.")
    if names:
        return [monitors[name] for name in dict.fromkeys(names)]
    found = [monitor for monitor in monitors.values() if not server or server in monitor["servers"]]
    if not found:
        where = f"on {server}" if server else "in this cluster"
        raise client.CommandError(client.REFUSED, f"No monitor is configured {where}.")
    return found


def _show(monitors: Sequence[Json], server: str, *, as_json: bool) -> int:
    rows = [
        {"monitor": monitor["name"], "server": name, **one}
        for monitor in sorted(monitors, key=lambda m: str(m["name"]))
        for name, one in monitor["servers"].items()
        if server in ("", name)
    ]
    if as_json:
        print(options.json_text(rows))
        return client.OK
    table: list[tuple[str, ...]] = [("MONITOR", "SERVER", "STATUS", "NEWEST RUN", "RESTARTS", "FAILOVERS", "DETAIL")]
    table += [_row(row) for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(6)]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, [*widths, 0], strict=True)).rstrip())
    return client.OK


def _row(row: Json) -> tuple[str, ...]:
    run = f"{row['elapsed_ms']:.1f} ms" if row["elapsed_ms"] else "-"
    counts = str(row["restarts"]), str(row["failovers"])
    return row["monitor"], row["server"], row["status"], run, *counts, row["detail"]


if __name__ == "__main__":
    sys.exit(main())
