"""clpmdstat: how the mirror disks are: colours, who is active, what is copied, what is wrong and what next."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.cli import client, mirror_display, mirror_views, options

Json = Mapping[str, Any]

_NOTES = """
  clpmdstat -l                    the names of all mirror disks
  clpmdstat -m MIRROR             one of them: colour of each server's side, activity, recovery, what is wrong
  clpmdstat -a MIRROR             on which server it is active
  clpmdstat -c MIRROR             its mirror connects: which one is used, round trip, the newest error
  Colours: GREEN has the newest data, YELLOW is being copied to, RED lacks something or is in doubt, GRAY is not known.
"""
_Print = Callable[[Json], str]
_DETAILS: dict[str, _Print] = {
    "mirror": mirror_display.detail,
    "active": mirror_display.activity,
    "connect": mirror_display.connections,
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpmdstat", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpmdstat", "Show how the mirror disks are.", _NOTES)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("-l", "--list", dest="list", action="store_true", help="the names of all mirror disks")
    what.add_argument("-m", "--mirror", metavar="MIRROR", help="one mirror disk")
    what.add_argument("-a", "--active", metavar="MIRROR", help="on which server it is active")
    what.add_argument("-c", "--connect", metavar="MIRROR", help="its mirror connects")
    return made.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return _list(as_json=arguments.json)
    what, name = next((word, found) for word in _DETAILS if (found := getattr(arguments, word)))
    mirror, whole = mirror_views.one(name)
    print(options.json_text(mirror) if arguments.json else _DETAILS[what](mirror))
    if not whole:
        text = "The agent does not run on this server, so only this server's side is known. Start it with clpcl -s."
        print(f"clpmdstat: {text}", file=sys.stderr)
    return client.OK


def _list(*, as_json: bool) -> int:
    found, _ = mirror_views.mirrors()
    if as_json:
        print(options.json_text(list(found.values())))
        return client.OK
    if not found:
        print("No mirror disk (md resource) is configured.", file=sys.stderr)
    for name, mirror in found.items():
        colors = " ".join(f"{server}={color}" for server, color in mirror["colors"].items())
        print(f" <{name}>  {mirror['status']:<16} {colors}")
    return client.OK


if __name__ == "__main__":
    sys.exit(main())
