"""clpstat: show what the cluster does, from the view of the agent on this server or of the one named by -h."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from agent.cli import change_display, client, display, fencing_display, options, silences

_CLEAR = "\033[H\033[2J\033[3J"
_RETRY_S = 1.0
_AGEING_S = 2.0
_SILENCES = "*"  # no heartbeat has this name
_NOTES = f"""
marks in -g, -n, -m:
  {display.LEGEND}
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpstat", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpstat", "Show the state of the cluster.", _NOTES)
    what = made.add_mutually_exclusive_group()
    options.add_verbs(
        what,
        ("-s", "status", "state of all objects (default)"),
        ("-g", "map", "which groups are active on which server"),
        ("-n", "heartbeats", "how each server hears the others over each heartbeat"),
        ("-m", "monitors", "each monitor on each server"),
        ("-f", "fencing", "who may act at a network partition, what decides it, what forces servers off"),
        ("-i", "config", "the configuration of all objects"),
    )
    _add_objects(what)
    made.add_argument("--detail", action="store_true", help="with one object: all of its parameters")
    made.add_argument("--long", action="store_true", help="wide names, and the age of what is shown")
    made.add_argument("--local", action="store_true", help="the view of this server's agent; asks nobody else")
    made.add_argument("-h", dest="host", default="", metavar="SERVER", help="the view of that server's agent")
    made.add_argument(
        "--watch", nargs="?", type=options.timeout, const=0.0, metavar="SECONDS",
        help="show it again after each change, and every SECONDS when given, until Ctrl-C",
    )  # fmt: skip
    made.set_defaults(what="status")
    arguments = made.parse_args(argv)
    if arguments.local and arguments.host:
        made.error("--local and -h exclude each other")
    if arguments.watch is not None and arguments.what in ("config", "object"):
        made.error("--watch shows states; the configuration has none")
    return arguments


def _add_objects(what: argparse._MutuallyExclusiveGroup) -> None:
    what.add_argument("--cl", action="store_true", help="configuration of the cluster")
    for flag, kind in (("--sv", "server"), ("--grp", "group"), ("--rsc", "resource")):
        what.add_argument(flag, metavar="NAME", help=f"configuration of a {kind}")
    what.add_argument(
        "--hb", nargs="?", const=_SILENCES, metavar="NAME",
        help="configuration of a heartbeat; without NAME how long all are silent, and what timeout would be safe",
    )  # fmt: skip
    what.add_argument("--mon", metavar="NAME", help="configuration of a monitor")


def _run(arguments: argparse.Namespace) -> int:
    wanted = _wanted(arguments)
    if wanted is not None:
        from agent.cli.config_display import show  # It needs the XML reader, which the states do not.

        return show(wanted, detail=arguments.detail, as_json=arguments.json)
    if arguments.watch is None:
        view = client.status(arguments.host)
        print(_shown(view, arguments))
        return client.OK
    return _watch(arguments)


def _wanted(arguments: argparse.Namespace) -> tuple[str, str] | None:
    """(kind, name) of the configuration that was asked for, None for states."""
    if arguments.what == "config":
        return "all", ""
    if arguments.cl:
        return "cluster", ""
    kinds = {"sv": "server", "hb": "heartbeat", "grp": "group", "rsc": "resource", "mon": "monitor"}
    named = ((kind, getattr(arguments, key)) for key, kind in kinds.items() if getattr(arguments, key))
    return next(((kind, name) for kind, name in named if name != _SILENCES), None)


def _shown(view: client.View, arguments: argparse.Namespace) -> str:
    if not arguments.json:
        return _text(view, arguments)
    return options.json_text(silences.as_json(view.status) if arguments.hb == _SILENCES else view.status)


def _text(view: client.View, arguments: argparse.Namespace) -> str:
    if arguments.hb == _SILENCES:
        table = silences.silences(view.status, view.me, time.time())
    elif arguments.what == "map":
        table = display.group_map(view.status, view.me)
    elif arguments.what == "heartbeats":
        table = display.heartbeats(view.status, view.me)
    elif arguments.what == "fencing":
        table = fencing_display.fencing(view.status, view.me)
    elif arguments.what == "monitors":
        table = display.monitors(view.status, view.me)
    else:
        table = display.cluster_status(view.status, view.me, long=arguments.long)
    notes = display.notes(view.status, ages=arguments.long)
    notes += change_display.notes(view.status, always=arguments.long)
    if arguments.hb != _SILENCES:
        notes += silences.notes(view.status, always=arguments.what == "heartbeats")
    return "\n".join([table, *(f" Note: {note}" for note in notes)])


def _watch(arguments: argparse.Namespace) -> int:
    """Goes on through a restart of the agent, and says meanwhile that what stands there is old."""
    shown = ""
    while True:
        try:
            for view in client.watch(arguments.host, arguments.watch or _AGEING_S):
                text = _shown(view, arguments)
                if text != shown:
                    print(_clear(arguments) + text, flush=True)
                shown = text
        except client.CommandError as error:
            if not shown or error.exit_code != client.UNREACHABLE:
                raise
            print(f" Note: {time.strftime('%H:%M:%S')} {error.text} What stands above is old.", file=sys.stderr)
            time.sleep(_RETRY_S)


def _clear(arguments: argparse.Namespace) -> str:
    return _CLEAR if sys.stdout.isatty() and not arguments.json else ""


if __name__ == "__main__":
    sys.exit(main())
