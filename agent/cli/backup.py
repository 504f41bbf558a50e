"""What clpbackup and clprestore have in common: which mirror disks, one after the other, then the service or server.

Rules of this file
- All mirror disks of one server, or those that are named, are asked one after the other. What is refused ends it: the
  service goes on, and what was done already is told. Asked again, what is done already does no harm.
- Without a flag the server is shut down after --pre, and rebooted after --post, as the original does. --no-shutdown
  stops the service only, --no-reboot starts it again, --online leaves it running all the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from agent.cli import client, mirror_display, options
from agent.cli.operate import Done, Wish, report

Json = Mapping[str, Any]
TIMEOUT_S = 900.0
_OF_PRE, _OF_POST = ("no_shutdown", "only_shutdown"), ("no_reboot", "only_reboot")

# What becomes of the service, by the flag; without one that asks for it: of the server.
_FOLLOWS = {
    "no_shutdown": ("server_stop", "Stop the service of"),
    "no_reboot": ("server_start", "Start the service of"),
    "pre": ("server_shutdown", "Shut down"),
    "post": ("server_reboot", "Reboot"),
}


def parser(command: str, description: str, notes: str) -> argparse.ArgumentParser:
    made = options.parser(command, description, notes)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--pre", dest="what", action="store_const", const="pre", help="before it")
    what.add_argument("--post", dest="what", action="store_const", const="post", help="after it")
    what.add_argument("--status", dest="what", action="store_const", const="status", help="which disks are prepared")
    for flag, text in (
        ("--no-shutdown", "with --pre: stop the service only"),
        ("--only-shutdown", "with --pre: shut the server down, and nothing else"),
        ("--no-reboot", "with --post: start the service again, without a reboot"),
        ("--only-reboot", "with --post: reboot the server, and nothing else"),
        ("--online", "the service goes on running"),
    ):
        made.add_argument(flag, action="store_true", help=text)
    made.add_argument("-h", dest="host", default="", metavar="SERVER", help="the server whose disks are meant")
    made.add_argument("--timeout", type=options.timeout, default=TIMEOUT_S, metavar="SECONDS",
                      help=f"how long to wait for each step (default {TIMEOUT_S:g})")  # fmt: skip
    made.add_argument("--force", action="store_true", help="see above")
    made.add_argument("-y", dest="yes", action="store_true", help="do not ask")
    made.add_argument("names", nargs="*", metavar="MIRROR", help="default: all of that server")
    return made


def check(made: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    flags = [flag for flag in (*_OF_PRE, *_OF_POST, "online") if getattr(arguments, flag)]
    allowed = {"pre": (*_OF_PRE, "online"), "post": (*_OF_POST, "online"), "status": ()}[arguments.what]
    wrong = [flag for flag in flags if flag not in allowed]
    if wrong:
        made.error(f"--{wrong[0].replace('_', '-')} does not go with --{arguments.what}")
    if len(flags) > 1:
        made.error("only one of " + ", ".join(f"--{flag.replace('_', '-')}" for flag in flags))
    arguments.way = flags[0] if flags else ""


class Steps:
    """Of one call of a command, on one server."""

    def __init__(self, command: str, arguments: argparse.Namespace) -> None:
        view = client.status()
        self._command, self._arguments = command, arguments
        self.server = arguments.host or view.me
        options.need_server(self.server, view.status["servers"])
        self._status = view.status["servers"][self.server].get("status", "")
        known = {name: one for name, one in view.status.get("mirrors", {}).items() if self.server in one["servers"]}
        for name in arguments.names:
            if name not in known:
                text = f"There is no mirror disk {name} on {self.server}. Known: {options.names(list(known))}."
                raise client.CommandError(client.REFUSED, text)
        self.mirrors = {name: known[name] for name in arguments.names or known}
        if not self.mirrors:
            raise client.CommandError(client.REFUSED, f"{self.server} has no mirror disk.")

    def carry_out(self, op: str, verb: str, **more: Any) -> int:
        """The disks, then what becomes of the service."""
        if not self._arguments.way.startswith("only"):
            for name in self.mirrors:
                if code := self._ask(Wish(op, verb, name, name, self.server), **more):
                    return code
        return self._follow()

    def _follow(self) -> int:
        way, online = self._arguments.way, self._status not in ("Offline", "Unknown")
        if way == "online" or (way == "no_reboot" and online) or (way == "no_shutdown" and not online):
            return client.OK
        op, verb = _FOLLOWS.get(way) or _FOLLOWS[self._arguments.what]
        return self._ask(Wish(op, verb, self.server, self.server))

    def _ask(self, wish: Wish, **more: Any) -> int:
        arguments = self._arguments
        with options.progress_lines(not arguments.json) as show:
            result = client.ask(wish.op, self._command, target=wish.target, server=wish.server,
                                wait_s=arguments.timeout, progress=show, more=more)  # fmt: skip
        if result.exit_code == client.OK and not arguments.json and result.text:
            print(result.text)
        return report(self._command, [Done(wish, result)], arguments.json, named=False)

    def show(self) -> int:
        if self._arguments.json:
            found = {name: one["servers"][self.server] for name, one in self.mirrors.items()}
            print(options.json_text({"ok": True, "code": client.OK, "server": self.server, "mirrors": found}))
            return client.OK
        for name, mirror in self.mirrors.items():
            print(f"{name} on {self.server}: {_said(mirror['servers'][self.server])}")
        return client.OK


def _said(side: Json | None) -> str:
    if side is None:
        return "nothing is heard of it."
    if side.get("separated_at"):
        return f"separated for a backup since {mirror_display.time_text(side['separated_at'])}."
    if side.get("restoring_at"):
        return f"a backup is being restored to it since {mirror_display.time_text(side['restoring_at'])}."
    return str(side["error"]) or "not prepared for a backup or a restore."
