"""clpdrill: failures on purpose - is one safe now, begin it, end it, and what the servers wrote of it."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli import client, options
from agent.wire.drill import BEGINS_S, KINDS, LEAST_S, MOST_S, WAYS

Json = Mapping[str, Any]

_NOTES = """
  clpdrill list                        the drill that runs now, and those that the servers still know of
  clpdrill check KIND SERVER ...       is it safe now? Nothing is begun (exit code 1: it is not, and why)
  clpdrill start KIND SERVER ...       begin it, if it is safe now; it ends by itself after --seconds
  clpdrill end [SERVER]                end the drill that runs (on this server); cuts and hangs heal at once
  clpdrill report [ID]                 what the servers wrote of a drill, with times; the newest one without an ID

  KIND is one of
    crash      the groups are taken down, then the agent falls silent without a word and stays away
    reset      the kernel resets the machine at once
    hang       the agent stands still; refused where a group could become active twice
    link       heartbeat paths (--heartbeat, else all of them) carry nothing to or from the server (--way)
    monitor    the monitor (--monitor) reports an error that is none; its recovery really runs

  A drill is refused unless all servers are online, nothing is under way, and every group that is concerned has
  another server. The manager has schedules, predictions, and reports that are kept.
"""
_DEFAULT_S = 30.0
_HISTORY = 1000  # events that are looked through
_BEGUN, _OVER = 61, (62, 63, 64)
# What tells of a failure and its recovery; the rest of a log explains it.
_TELLING = {
    "apisv": {_BEGUN, *_OVER}, "nm": {1, 2, 3, 4}, "cp": {1, 2, 7, 8, 13, 18, 19},
    "rc": {10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42, 60, 61, 63, 66, 70, 71, 74, 75},
    "rm": {9, 13, 14, 26, 180, 181},
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpdrill", arguments.json, lambda: _COMMANDS[arguments.what](arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpdrill", "Failures on purpose, bounded and guarded.", _NOTES)
    made.add_argument("what", choices=list(_COMMANDS), metavar="COMMAND")
    made.add_argument("words", nargs="*", metavar="WORD", help="KIND and SERVER, or the ID of a drill")
    made.add_argument("--seconds", type=_seconds, default=_DEFAULT_S, help=f"at most so long (default {_DEFAULT_S:g})")
    made.add_argument("--heartbeat", action="append", default=[], metavar="NAME", help="of a link: this path; again")
    made.add_argument("--way", choices=WAYS, default="both", help="of a link: hears nothing, is not heard, or both")
    made.add_argument("--monitor", default="", metavar="NAME", help="of a monitor: which")
    made.add_argument("-h", dest="host", default="", metavar="SERVER", help="ask the agent on that server")
    options.add_timeout(made)
    arguments = made.parse_args(argv)
    _check_words(made, arguments)
    return arguments


def _check_words(made: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    words, asks = arguments.words, arguments.what in ("check", "start")
    if asks and len(words) != 2:
        made.error(f"{arguments.what} needs a kind and a server, such as: clpdrill {arguments.what} crash server1")
    if asks and words[0] not in KINDS:
        made.error(f"{words[0]!r} is no kind of drill; there are {', '.join(KINDS)}")
    if not asks and len(words) > (0 if arguments.what == "list" else 1):
        made.error(f"{arguments.what} takes {'nothing' if arguments.what == 'list' else 'one name'}")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not LEAST_S <= value <= MOST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {LEAST_S:g} to {MOST_S:g}")
    return value


# Asking -----------------------------------------------------------------------------------------------------------


def _ask(arguments: argparse.Namespace) -> int:
    kind, server = arguments.words
    drill = {
        "kind": kind, "bound_s": arguments.seconds, "heartbeats": arguments.heartbeat, "way": arguments.way,
        "monitor": arguments.monitor,
    }  # fmt: skip
    key = uuid.uuid4().hex
    done = client.ask(
        f"drill_{arguments.what}", "clpdrill", target=server, via=arguments.host, wait_s=min(arguments.timeout, 60.0),
        more={"drill": drill, "id": key},
    )  # fmt: skip
    return _tell(arguments, done, {"id": key} if arguments.what == "start" else {})


def _end(arguments: argparse.Namespace) -> int:
    target = arguments.words[0] if arguments.words else ""
    done = client.ask(
        "drill_end", "clpdrill", target=target, via=arguments.host, wait_s=min(arguments.timeout, 30.0)
    )  # fmt: skip
    return _tell(arguments, done, {})


def _tell(arguments: argparse.Namespace, done: client.Result, more: Json) -> int:
    well = done.exit_code == client.OK
    if arguments.json:
        told = {"ok": well, "code": done.exit_code, "reason": done.reason, "text": done.text, **(more if well else {})}
        print(options.json_text(told))
    elif well:
        print(done.text)
        if more:
            print(f"Its id is {more['id']}; see clpdrill report.")
    if not well:
        print(f"clpdrill: {done.text}", file=sys.stderr)
    return done.exit_code


# What there was ---------------------------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> int:
    servers = client.status(arguments.host).status["servers"]
    running = [{"server": name, **server["drill"]} for name, server in servers.items() if server.get("drill")]
    drills = _known(_notes(arguments.host))
    if arguments.json:
        print(options.json_text({"running": running, "drills": drills}))
        return client.OK
    for one in running:
        print(f"RUNNING on {one['server']}: {one['what']}, until {_when(one['ends'])}, asked for by {one['by']}")
    for one in drills:
        print(f"{_when(one['at'])}  {one['id']}  {one['what']}  {one['end'] or _without_end(one, servers)}")
    if not running and not drills:
        print("No drill runs, and the servers know of none.")
    return client.OK


def _without_end(drill: Json, servers: Json) -> str:
    """How a drill stands of which no end is written: the log of its server may know more than its newest report."""
    name, now = drill["server"], time.time()
    server = servers.get(name, {})
    ends = drill["at"] + drill["bound_s"] + BEGINS_S
    if (server.get("drill") or {}).get("id") == drill["id"]:
        return f"it runs, until {_when(ends)} at the latest"
    if server.get("incarnation", 0) > drill["incarnation"]:
        return f"{name} has been started anew since, and knows nothing of it any more"
    if now < ends:
        return f"begun {max(0.0, now - drill['at']):.1f} s ago; the report of {name} that it runs has not come yet"
    return f"no end is known; it was to end by {_when(ends)}, and {name} is {server.get('status', 'not known')} now"


def _known(notes: Sequence[Json]) -> list[dict[str, Any]]:
    """Oldest first."""
    found: dict[str, dict[str, Any]] = {}
    for note in notes:
        if note["module"] != "apisv" or not note.get("params"):
            continue
        key = note["params"][0]
        if note["event"] == _BEGUN:
            found[key] = {
                "id": key,
                "at": note["time"],
                "server": note["params"][1],
                "what": note["params"][2],
                "bound_s": float(note["params"][3]),
                "incarnation": int(note["id"].split(":")[1]),
                "end": "",
            }
        elif note["event"] in _OVER and key in found:
            found[key]["end"] = note["text"]
    return list(found.values())


def _report(arguments: argparse.Namespace) -> int:
    notes = _notes(arguments.host)
    drills = _known(notes)
    wanted = arguments.words[0] if arguments.words else (drills[-1]["id"] if drills else "")
    chosen = next((one for one in drills if one["id"] == wanted), None)
    if chosen is None:
        known = options.names([one["id"] for one in drills])
        text = f"The servers know of no drill {wanted}".rstrip() + f". They know of: {known}. The manager keeps all."
        raise client.CommandError(client.REFUSED, text)
    later = next((one["at"] for one in drills if one["at"] > chosen["at"]), float("inf"))
    lines = [
        {"at_s": round(note["time"] - chosen["at"], 3), "server": note["server"], "text": note["text"]}
        for note in sorted(notes, key=lambda note: float(note["time"]))
        if chosen["at"] <= note["time"] < later and note["event"] in _TELLING.get(note["module"], ())
    ]
    if arguments.json:
        print(options.json_text({"drill": chosen, "lines": lines}))
        return client.OK
    print(f"Drill {chosen['id']}: {chosen['what']}, {_when(chosen['at'])}")
    for line in lines:
        print(f"{line['at_s']:+10.3f} s  {line['server']:<12} {line['text']}")
    return client.OK


def _notes(host: str) -> list[Json]:
    """Of all servers that answer, since each keeps its own."""
    found: dict[str, Json] = {}
    here = client.own_name()
    for server in client.status(host).status["servers"]:
        try:
            with client.Connection(10.0) as connection:
                connection.send({"op": "events", "limit": _HISTORY, **({"via": server} if server != here else {})})
                for note in connection.receive().get("notes", ()):
                    found[note["id"]] = note
        except (client.CommandError, TimeoutError):
            continue  # A server that is down tells nothing.
    return sorted(found.values(), key=lambda note: float(note["time"]))


def _when(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


_COMMANDS = {"list": _list, "check": _ask, "start": _ask, "end": _end, "report": _report}


if __name__ == "__main__":
    sys.exit(main())
