"""clpmdctrl: activate, isolate, recover, compare and force mirror disks."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli import client, mirror_display, mirror_views, options
from agent.cli.operate import Done, Wish, report
from agent.wire.mirror import plan_of_force, size_text, source_of, told

Json = Mapping[str, Any]

_NOTES = """
  clpmdctrl -a MIRROR [-nomount] [-f]     activate it here, by hand and outside of its group; -f: although its data may
                                          be old (what would be lost is told first)
  clpmdctrl -d MIRROR                     the end of that
  clpmdctrl -b MIRROR                     isolate: this server's side stays apart until -r
  clpmdctrl -r MIRROR                     recover: join again; only what differs is copied
  clpmdctrl -f [SERVER] MIRROR            force the recovery: the data of SERVER (of this one) stay, those of the other
                                          one are given up. Tells what that loses, and asks; -y answers yes
  clpmdctrl --rwait MIRROR [-timeout SECONDS] [-rcancel]
                                          wait until both servers have the same; -rcancel: when the time is over,
                                          isolate the side that is copied to, which ends the copy (-r goes on)
  clpmdctrl --verify [--repair] MIRROR    compare both disks while they are used; --repair: what differs is copied from
                                          the active side; --verify-stop MIRROR ends it
  clpmdctrl --pace RATE MIRROR            a recovery takes so much at most: 20M is 20 MiB/s; 0 is no limit
  -h SERVER does -a, -d, -b, -r, --verify and --pace on SERVER instead of here.
"""
_SIMPLE = {
    "deactivate": ("mirror_deactivate", "Deactivate"),
    "break": ("mirror_break", "Isolate"),
    "recovery": ("mirror_join", "Recover"),
    "verify": ("mirror_verify", "Compare"),
    "verify_stop": ("mirror_verify_stop", "End the comparison of"),
}
_RATE = re.compile(r"(\d{1,15})([KMGT]?)", re.ASCII | re.IGNORECASE)
_LOOK_S = 1.0
_MOST_RATE = 1 << 50


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpmdctrl", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpmdctrl", "Operate mirror disks.", _NOTES)
    made.add_argument("-a", "--active", action="store_true", help="activate it here")
    made.add_argument("-d", "--deactive", dest="deactivate", action="store_true", help="deactivate it here")
    made.add_argument("-b", "--break", action="store_true", help="isolate it")
    made.add_argument("-r", "--recovery", action="store_true", help="join again, and recover")
    made.add_argument("-f", "--force", action="store_true", help="force the recovery; with -a: the activation")
    made.add_argument("--rwait", action="store_true", help="wait for the end of a recovery")
    made.add_argument("--verify", action="store_true", help="compare both disks")
    made.add_argument("--repair", action="store_true", help="with --verify: copy what differs")
    made.add_argument("--verify-stop", action="store_true", help="end the comparison")
    made.add_argument("--pace", type=_rate, metavar="RATE", help="limit of a recovery in bytes a second, 20M; 0: none")
    made.add_argument("--resize", metavar="SIZE", help="not in this version")
    made.add_argument("-nomount", "--nomount", dest="nomount", action="store_true", help="with -a: without mounting")
    made.add_argument("-rcancel", "--rcancel", dest="rcancel", action="store_true", help="with --rwait: see above")
    made.add_argument("-timeout", "--timeout", dest="timeout", type=options.timeout, default=None, metavar="SECONDS",
                      help="how long to wait (default 300; --rwait without it: until the end)")  # fmt: skip
    made.add_argument("-h", dest="host", default="", metavar="SERVER", help="the server to act on")
    made.add_argument("-y", dest="yes", action="store_true", help="do not ask")
    made.add_argument("names", nargs="+", metavar="[SERVER] MIRROR")
    arguments = made.parse_args(argv)
    _check(made, arguments)
    return arguments


def _check(made: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    words = ("active", "deactivate", "break", "recovery", "rwait", "verify", "verify_stop")
    asked = [word for word in words if getattr(arguments, word)]
    asked += [word for word in ("pace", "resize") if getattr(arguments, word) is not None]
    if arguments.force and asked != ["active"]:
        asked.append("force")
    if len(asked) != 1:
        made.error("say one thing to do: -a, -d, -b, -r, -f, --rwait, --verify, --verify-stop or --pace")
    arguments.what = asked[0]
    most = 2 if arguments.what == "force" else 1
    if len(arguments.names) > most:
        made.error(f"one mirror disk at a time{'' if most == 1 else ', after the server whose data stay'}")
    if arguments.repair and arguments.what != "verify":
        made.error("--repair goes with --verify only")
    if arguments.nomount and arguments.what != "active":
        made.error("-nomount goes with -a only")
    if arguments.rcancel and (arguments.what != "rwait" or arguments.timeout is None):
        made.error("-rcancel goes with --rwait and -timeout only")


def _rate(text: str) -> int:
    found = _RATE.fullmatch(text)
    value = int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ") if found else -1
    if not 0 <= value <= _MOST_RATE:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate in bytes a second, such as 20M; 0 is no limit")
    return value


def _run(arguments: argparse.Namespace) -> int:
    if arguments.what == "resize":
        text = (
            "A mirror disk cannot be made larger while it is used in this version. Stop its group, enlarge the data "
            "partition on both servers, initialise both cluster partitions (clpmdinit --create force) and force the "
            "recovery from the server whose data stay."
        )
        raise client.CommandError(client.REFUSED, text)
    name = arguments.names[-1]
    view = client.status()
    mirror = _known(view.status, name)
    server = arguments.names[0] if len(arguments.names) > 1 else arguments.host
    if server and server not in mirror["servers"]:
        known = options.names(list(mirror["servers"]))
        raise client.CommandError(client.REFUSED, f"{name} has no side on {server}, but on {known}.")
    arguments.server = server or view.me
    if arguments.what == "rwait":
        return _wait(arguments, name)
    if arguments.what == "force":
        return _force(arguments, mirror)
    if arguments.what == "active":
        return _activate(arguments, mirror)
    if arguments.what == "pace":
        return _ask(arguments, Wish("mirror_pace", "Pace of", name, name), bytes_s=arguments.pace)
    op, verb = _SIMPLE[arguments.what]
    more = {"force": True} if arguments.repair else {}
    return _ask(arguments, Wish(op, verb, name, name), **more)


def _known(status: Json, name: str) -> Json:
    found: dict[str, Json] = status.get("mirrors", {})
    if name not in found:
        text = f"There is no mirror disk {name}. Known: {options.names(list(found))}."
        raise client.CommandError(client.REFUSED, text)
    return found[name]


def _force(arguments: argparse.Namespace, mirror: Json) -> int:
    name, source = mirror["name"], arguments.server
    plan = plan_of_force(name, source, mirror["servers"])
    said = [told(*one, size=size_text, when=mirror_display.time_text) for one in plan.facts]
    if not plan.does:
        raise client.CommandError(client.REFUSED, " ".join(said))
    options.sure(arguments, [f"Force the recovery of {name} from {source}:", *said])
    return _ask(arguments, Wish("mirror_force", "Force the recovery of", name, name))


def _activate(arguments: argparse.Namespace, mirror: Json) -> int:
    name, server = mirror["name"], arguments.server
    if arguments.force:
        side = mirror["servers"][server]
        doubt = side["doubt"] if side else f"Nothing is known of {name} on {server}."
        said = [doubt or "Nothing speaks against it."]
        said += [told(*one, size=size_text, when=mirror_display.time_text)
                 for one in plan_of_force(name, server, mirror["servers"]).facts[1:]]  # fmt: skip
        options.sure(arguments, [f"Activate {name} on {server} by force:", *said])
    wish = Wish("mirror_activate", "Activate", name, name)
    return _ask(arguments, wish, force=arguments.force, mount=not arguments.nomount)


def _ask(arguments: argparse.Namespace, wish: Wish, **more: Any) -> int:
    wait_s = arguments.timeout or 300.0
    with options.progress_lines(not arguments.json) as show:
        result = client.ask(wish.op, "clpmdctrl", target=wish.target, server=arguments.server, wait_s=wait_s,
                            progress=show, more=more)  # fmt: skip
    if result.exit_code == client.OK and not arguments.json and result.text:
        print(result.text)
    return report("clpmdctrl", [Done(wish, result)], arguments.json, named=False)


# Waiting for a recovery -------------------------------------------------------------------------------------------


def _wait(arguments: argparse.Namespace, name: str) -> int:
    end = time.monotonic() + (arguments.timeout if arguments.timeout is not None else float("inf"))
    with options.progress_lines(not arguments.json) as show:
        while True:
            mirror, _ = mirror_views.one(name)
            if mirror["status"] == "Normal":
                return _told(arguments, mirror)
            if _hopeless(mirror):
                text = " ".join(line.strip(" *") for line in mirror_display.said(mirror))
                raise client.CommandError(client.REFUSED, f"{name} does not recover by itself. {text}")
            if (left_s := end - time.monotonic()) <= 0:
                break
            show(_progress(mirror))
            time.sleep(min(_LOOK_S, left_s))
    if not arguments.rcancel:
        raise client.CommandError(
            client.NOT_YET, f"{name} is not recovered within {arguments.timeout:g} s; it goes on."
        )
    source = source_of(mirror["servers"])
    arguments.server = mirror["servers"][source]["peer"] if source else arguments.server
    code = _ask(arguments, Wish("mirror_break", "Isolate", name, name))
    return code or client.NOT_YET


def _hopeless(mirror: Json) -> bool:
    """It needs somebody: waiting changes nothing."""
    waits = (
        "diverged",
        "unrelated",
        "isolated",
        "isolated_equal",
        "isolated_unknown",
        "separated",
        "not_constructed",
        "both_active",
        "doubt",
    )
    return any(code in waits for _, code, _ in mirror["facts"])


def _progress(mirror: Json) -> str:
    return " ".join(line.strip() for line in mirror_display.detail(mirror).partition(" Recovery:")[2].splitlines())


def _told(arguments: argparse.Namespace, mirror: Json) -> int:
    print(options.json_text(mirror) if arguments.json else f"Both servers have the same data of {mirror['name']}.")
    return client.OK


if __name__ == "__main__":
    sys.exit(main())
