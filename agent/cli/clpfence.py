"""clpfence: fence devices and agents - what there is, whether it works, what it did, and the operator's word."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli import client, options
from agent.cli.operate import Wish, fulfil, report

if TYPE_CHECKING:
    from agent.clpconf.fences import FenceAgent
    from agent.clpconf.schema import Param

Json = Mapping[str, Any]

_NOTES = """
  clpfence                        the fence devices of the cluster, when each was proven last, and the watchdogs
  clpfence list                   the fence agents that are installed on this server
  clpfence show AGENT             the options of an agent
  clpfence test SERVER|DEVICE     ask the devices how the server is; nothing is switched off (-h SERVER: from there)
  clpfence test SERVER --off      really force the server off
  clpfence history                what fencing did, newest last
  clpfence confirm SERVER         your word that the server is off: its groups may start elsewhere
  clpfence disarm                 release every watchdog, shoot nobody, take nothing over from a lost server
  clpfence arm                    the end of that
"""
_YES = "-y, or an answer of yes, is needed where nobody can be asked"
_HISTORY = 1000  # events that are looked through
_FENCING = range(400, 434)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpfence", arguments.json, lambda: _COMMANDS[arguments.what](arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpfence", "Fence devices: show, test, use, and answer for them.", _NOTES)
    made.add_argument("what", nargs="?", default="status", choices=list(_COMMANDS), metavar="COMMAND")
    made.add_argument("target", nargs="?", default="", metavar="NAME", help="a server, a device or an agent")
    made.add_argument("--off", action="store_true", help="with test: really force the server off")
    made.add_argument("-y", dest="yes", action="store_true", help="do not ask")
    made.add_argument("-h", dest="host", default="", metavar="SERVER", help="ask the agent on that server")
    options.add_timeout(made)
    arguments = made.parse_args(argv)
    if (arguments.what in ("show", "test", "confirm")) != bool(arguments.target):
        made.error(f"{arguments.what} needs a name" if not arguments.target else f"{arguments.what} takes no name")
    if arguments.off and arguments.what != "test":
        made.error("--off goes with test only")
    return arguments


# What there is ----------------------------------------------------------------------------------------------------


def _status(arguments: argparse.Namespace) -> int:
    status = client.status(arguments.host).status
    devices = list(status.get("fences", {}).values())
    watchdogs = {name: server["watchdog"] for name, server in status["servers"].items() if "watchdog" in server}
    if arguments.json:
        cluster = status["cluster"].get("fencing", {})
        print(options.json_text({"fencing": cluster, "fences": devices, "watchdogs": watchdogs}))
        return client.OK
    if not status["cluster"].get("fencing", {}).get("armed", True):
        print("Fencing is DISARMED: nothing is forced off, nothing is taken over from a lost server.")
    if not devices:
        print("No fence device is configured (clp.conf, /root/openclp/fence).")
    for line in _table(devices):
        print(line)
    for name, watchdog in watchdogs.items():
        detail = f" ({watchdog['detail']})" if watchdog["detail"] else ""
        print(f"Watchdog of {name}: {watchdog['status']}{detail}")
    return client.OK


def _table(devices: Sequence[Json]) -> Iterator[str]:
    rows = [("DEVICE", "AGENT", "LEVEL", "TARGETS", "LAST PROVEN", "LAST RESULT")]
    for device in devices:
        result = device["last_result"] or "never tested"
        detail = f": {device['detail']}" if device["detail"] and device["last_result"] == "failed" else ""
        rows.append((device["name"], device["agent"], str(device["level"]), " ".join(device["targets"]),
                     _when(device["last_proven"]), result + detail))  # fmt: skip
    if len(rows) == 1:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)).rstrip()


def _when(seconds: float) -> str:
    if not seconds:
        return "never"
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _agents() -> Mapping[str, FenceAgent]:
    from agent.drivers.fence import InstalledAgents  # Only two of the commands need it.

    cache = Path(os.environ.get("OPENCLP_STATE") or "/var/lib/openclp") / "fence-agents"
    found = InstalledAgents(cache)
    if not found:
        text = "No fence agent is installed on this server; install the package fence-agents."
        raise client.CommandError(client.REFUSED, text)
    return found


def _list(arguments: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    agents = _agents()
    with ThreadPoolExecutor(8) as pool:  # The first time each agent is started once.
        found = dict(zip(agents, pool.map(agents.get, agents), strict=True))
    if arguments.json:
        print(options.json_text({name: agent.spec.label if agent else None for name, agent in found.items()}))
        return client.OK
    width = max(map(len, found))
    for name, agent in found.items():
        print(f"{name.ljust(width)}  {agent.spec.label if agent else '(its metadata cannot be read)'}")
    return client.OK


def _show(arguments: argparse.Namespace) -> int:
    agents = _agents()
    agent = agents.get(arguments.target)
    if agent is None:
        text = f"There is no fence agent {arguments.target} on this server; see clpfence list."
        raise client.CommandError(client.REFUSED, text)
    if arguments.json:
        params = [_option(param) for param in agent.spec.params]
        known = {"name": arguments.target, "description": agent.description, "actions": sorted(agent.actions)}
        print(options.json_text({**known, "options": params}))
        return client.OK
    print(f"{arguments.target}: {agent.spec.label}")
    print(f"{agent.description}\n")
    for param in agent.spec.params:
        one = _option(param)
        marks = [mark for mark in ("required", "secret") if one[mark]]
        marks += [f"default {one['default']}"] if one["default"] is not None else []
        marks += [f"one of {', '.join(one['choices'])}"] if one["choices"] else []
        print(_line(one, marks))
    return client.OK


def _line(one: Json, marks: Sequence[str]) -> str:
    shown = f" ({'; '.join(marks)})" if marks else ""
    return f"  {one['name']}{shown}\n      {one['help']}"


def _option(param: Param) -> dict[str, Any]:
    return {
        "name": param.path.removeprefix("parameters/"),
        "kind": param.kind.name,
        "required": param.required,
        "secret": param.kind.secret,
        "default": None if param.kind.secret else param.default,
        "choices": [word for word, _ in param.kind.choices],
        "help": param.help,
    }


def _history(arguments: argparse.Namespace) -> int:
    request = {"op": "events", "limit": _HISTORY, **({"via": arguments.host} if arguments.host else {})}
    with client.Connection(arguments.timeout) as connection:
        connection.send(request)
        line = connection.receive()
    if not line.get("ok"):
        raise client.CommandError(client.REFUSED, str(line.get("error", "The agent gave no events.")))
    notes = [n for n in line["notes"] if n["module"] == "rc" and n["event"] in _FENCING]
    if arguments.json:
        print(options.json_text(notes))
        return client.OK
    if not notes:
        print("Fencing has done nothing yet.")
    for note in notes:
        print(f"{_when(note['time'])}  {note['server']}  {note['text']}")
    return client.OK


# What is done -----------------------------------------------------------------------------------------------------


def _test(arguments: argparse.Namespace) -> int:
    if arguments.off:
        _sure(arguments, f"{arguments.target} loses its power now, with everything that runs on it.")
    wish = Wish("fence_off" if arguments.off else "fence_test", "Test", arguments.target, arguments.target,
                via=arguments.host)  # fmt: skip
    return _ask(arguments, wish, said=True)


def _confirm(arguments: argparse.Namespace) -> int:
    _sure(arguments, f"If {arguments.target} still runs, its groups will run twice and destroy their data. Look at it: "
          "its power must be off.")  # fmt: skip
    wish = Wish("fence_confirm", "Confirm", arguments.target, arguments.target, via=arguments.host)
    return _ask(arguments, wish, said=True)


def _arm(arguments: argparse.Namespace) -> int:
    return _ask(arguments, Wish("fence_arm", "Arm", "fencing", via=arguments.host))


def _disarm(arguments: argparse.Namespace) -> int:
    code = _ask(arguments, Wish("fence_disarm", "Disarm", "fencing", via=arguments.host))
    if code == client.OK and not arguments.json:
        # The proof: each server's own word.
        for name, server in client.status(arguments.host).status["servers"].items():
            print(f"Watchdog of {name}: {server['watchdog']['status']}")
    return code


def _ask(arguments: argparse.Namespace, wish: Wish, *, said: bool = False) -> int:
    done = fulfil([wish], "clpfence", arguments.timeout, quiet=arguments.json)
    if said and not arguments.json and done[0].result.exit_code == client.OK:
        print(done[0].result.text)
        return client.OK
    return report("clpfence", done, arguments.json, named=False)


def _sure(arguments: argparse.Namespace, warning: str) -> None:
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise client.CommandError(client.REFUSED, f"{warning} {_YES}.")
    print(warning)
    if input("Type yes to go on: ").strip().lower() != "yes":
        raise client.CommandError(client.REFUSED, "Nothing was done.")


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "status": _status, "list": _list, "show": _show, "test": _test, "history": _history, "confirm": _confirm,
    "arm": _arm, "disarm": _disarm,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
