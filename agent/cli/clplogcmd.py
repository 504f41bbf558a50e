"""clplogcmd: write an alert from a script."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from agent.cli import client, options

_NOTES = """
  clplogcmd -m TEXT [-l ERR|WARN|INFO] [-i NUMBER] [--alert] [--syslog] [--mail] [--trap] [--webhook]
  Without a destination: the alert log. All servers have it there; mail, trap and webhook go where clp.conf says.
"""
_LEVELS = {
    "ERR": "error", "ERROR": "error", "WARN": "warning", "WARNING": "warning", "INFO": "info",
}  # fmt: skip
_CHANNELS = ("alert", "syslog", "mail", "trap", "webhook")
_TIMEOUT_S = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clplogcmd", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clplogcmd", "Write an alert.", _NOTES)
    made.add_argument("-m", dest="text", required=True, metavar="TEXT", help="what happened, at most 1023 characters")
    made.add_argument("-l", dest="level", type=str.upper, choices=tuple(_LEVELS), default="ERR",
                      help="how grave it is (default ERR)")  # fmt: skip
    made.add_argument("-i", dest="number", type=int, default=1, metavar="NUMBER", help="1 to 9999 (default 1)")
    for channel in _CHANNELS:
        made.add_argument(f"--{channel}", dest="channels", action="append_const", const=channel, help="tell it there")
    return made.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    alert = {
        "text": arguments.text, "severity": _LEVELS[arguments.level], "number": arguments.number,
        "channels": arguments.channels or ["alert"],
    }  # fmt: skip
    with client.Connection(_TIMEOUT_S) as connection:
        connection.send({"op": "alert", "alert": alert})
        line = connection.receive()
    if not line.get("ok"):
        raise client.CommandError(client.REFUSED, str(line.get("error") or "The agent gave no answer."))
    if arguments.json:
        print(options.json_text({"ok": True}))
    return client.OK


if __name__ == "__main__":
    raise SystemExit(main())
