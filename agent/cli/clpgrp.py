"""clpgrp: start, stop and move failover groups, and tell where one runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli import client, options
from agent.cli.operate import Wish, fulfil, report

Json = Mapping[str, Any]

_NOTES = """
  clpgrp -s [GROUP] [-h SERVER]   start it on SERVER; without -h here, or, where this server may not run it,
                                  on the server that its failover policy gives
  clpgrp -t [GROUP] [-h SERVER]   stop it, and keep it stopped until somebody starts it
  clpgrp -m [GROUP] [-a SERVER]   move it to SERVER, or to the server that its failover policy gives
  clpgrp -n GROUP                 print the server on which it is active; exit code 1 when it is on none
  Without GROUP: -s all groups that are not active, -t and -m all groups that are active here (or on -h SERVER).
"""
_VERBS = {"start": "Start", "stop": "Stop", "move": "Move"}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpgrp", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpgrp", "Start, stop and move failover groups.", _NOTES)
    what = made.add_mutually_exclusive_group(required=True)
    options.add_verbs(
        what, ("-s", "start", "start"), ("-t", "stop", "stop"), ("-m", "move", "move"),
        ("-n", "where", "print where it is active"),
    )  # fmt: skip
    made.add_argument("group", nargs="?", default="", metavar="GROUP", help="name of a failover group")
    made.add_argument("-h", dest="host", default="", metavar="SERVER", help="the server to act on")
    made.add_argument("-a", dest="to", default="", metavar="SERVER", help="with -m: the server to move to")
    options.add_timeout(made)
    arguments = made.parse_args(argv)
    if arguments.to and arguments.what != "move":
        made.error("-a names where to move a group; it goes with -m only")
    if arguments.what == "where" and not arguments.group:
        made.error("-n needs the name of a group")
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    view = client.status()
    groups = _groups(view.status, arguments.group)
    for name in (arguments.host, arguments.to):
        if name:
            options.need_server(name, view.status["servers"])
    if arguments.what == "where":
        return _where(groups[0], as_json=arguments.json)
    wishes = _wishes(arguments, view, groups)
    if not wishes:
        raise client.CommandError(client.REFUSED, _nothing(arguments, view.me))
    done = fulfil(wishes, "clpgrp", arguments.timeout, quiet=arguments.json)
    return report("clpgrp", done, arguments.json, named=not arguments.group)


def _groups(status: Json, name: str) -> list[Json]:
    if not name:
        return list(status["groups"].values())
    if name in status["groups"]:
        return [status["groups"][name]]
    known = options.names(list(status["groups"]))
    raise client.CommandError(client.REFUSED, f"There is no group {name}. Known: {known}.")


def _where(group: Json, *, as_json: bool) -> int:
    active = group["active_on"]
    if as_json:
        print(options.json_text({"group": group["name"], "status": group["status"], "active_on": active}))
    elif active:
        print("\n".join(active))
    if len(active) == 1:
        return client.OK
    text = group["detail"] or f"It is {group['status']} on every server."
    print(f"clpgrp: {group['name']}: {text}", file=sys.stderr)
    return client.REFUSED


def _wishes(arguments: argparse.Namespace, view: client.View, groups: Sequence[Json]) -> list[Wish]:
    if arguments.what == "start":
        chosen = groups if arguments.group else [g for g in groups if not g["active_on"]]
        return [_wish("start", g, arguments.host or _here(g, view)) for g in chosen]
    if arguments.what == "stop":
        chosen = groups if arguments.group else _active_on(groups, arguments.host or view.me)
        _must_be_there(groups, arguments.group, arguments.host)
        # "" stops it wherever it is; a name stops it there only, which matters when it is active twice.
        return [_wish("stop", g, arguments.host) for g in chosen]
    if arguments.group:
        # The original's users write -m GROUP -h SERVER as well as -m GROUP -a SERVER.
        return [_wish("move", groups[0], arguments.to or arguments.host)]
    return [_wish("move", g, arguments.to) for g in _active_on(groups, arguments.host or view.me)]


def _wish(word: str, group: Json, server: str) -> Wish:
    return Wish(f"group_{word}", _VERBS[word], group["name"], target=group["name"], server=server)


def _here(group: Json, view: client.View) -> str:
    own = view.status["servers"].get(view.me, {})
    return view.me if view.me in group["policy"] and own.get("status") == "Online" else ""


def _active_on(groups: Sequence[Json], server: str) -> list[Json]:
    return [group for group in groups if server in group["active_on"]]


def _must_be_there(groups: Sequence[Json], name: str, host: str) -> None:
    if name and host and groups[0]["active_on"] and host not in groups[0]["active_on"]:
        where = " and ".join(groups[0]["active_on"])
        raise client.CommandError(client.REFUSED, f"{name} is not active on {host}, but on {where}.")


def _nothing(arguments: argparse.Namespace, me: str) -> str:
    if arguments.what == "start":
        return "Every group is active already."
    return f"No group is active on {arguments.host or me}."


if __name__ == "__main__":
    sys.exit(main())
