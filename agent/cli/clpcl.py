"""clpcl: start, stop, restart, suspend and resume the cluster service, here, on one server or on all."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from agent.cli import client, options
from agent.cli.operate import Done, Wish, exit_code, fulfil, report

_NOTES = """
  Without -a or -h: this server only. --suspend and --resume are always for the whole cluster.
  Stopping the service moves the server's groups to the others first; -t -a stops all groups.
  --force-quorum: the votes of those who are left do not suffice, and the others will not come back soon. If one of
  them still runs, its groups run twice: switch it off first, then add --they-are-off.
  --release: a server that was lost too often (clpstat -f) takes groups again before its quarantine is over.
  The agent itself goes on running and answers; it is ended with its process (clpd).
"""
_VERBS = {"start": "Start", "stop": "Stop", "restart": "Restart"}
#: Parts that are services of their own in the original.
_PARTS = {
    "web": "The WebManager is not a part of the agent. It is started and stopped with manage.py up",
    "alert": "Alerts are a part of the agent here",
    "ib": "The information base is a part of the agent here",
    "api": "The REST interface is a part of the WebManager here",
    "md": "Mirror disks are not in this version",
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpcl", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpcl", "Start and stop the cluster service.", _NOTES)
    what = made.add_mutually_exclusive_group(required=True)
    options.add_verbs(
        what,
        ("-s", "start", "start; where no agent runs on this server, start it too"),
        ("-t", "stop", "stop"),
        ("-r", "restart", "stop, then start"),
        ("--suspend", "suspend", "no failover until resumed; what runs goes on running"),
        ("--resume", "resume", "end of --suspend"),
        ("--release", "release", "end the quarantine of this server, or of -h SERVER"),
        ("--force-quorum", "force", "go on here without the servers that are absent; needs --they-are-off"),
    )
    where = made.add_mutually_exclusive_group()
    where.add_argument("-a", dest="all", action="store_true", help="on all servers")
    where.add_argument("-h", dest="host", default="", metavar="SERVER", help="on that server")
    made.add_argument(
        "--they-are-off", action="store_true", help="with --force-quorum: you have seen that the absent ones are off"
    )
    for part in _PARTS:
        made.add_argument(f"--{part}", dest="parts", action="append_const", const=part, help=argparse.SUPPRESS)
    options.add_timeout(made)
    return made.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.parts:
        return _answer_parts(arguments)
    end = time.monotonic() + arguments.timeout
    view = _view(arguments)
    if arguments.host:
        options.need_server(arguments.host, view.status["servers"])
    if arguments.what in ("suspend", "resume"):
        wish = _whole(view, arguments.what, arguments.what.capitalize())
        return report("clpcl", _fulfil([wish], arguments, end), arguments.json, named=False)
    if arguments.what == "force":
        return _force(arguments, view, end)
    if arguments.what == "release":
        return _release(arguments, view, end)
    done = _service(arguments, view, end)
    return report("clpcl", done, arguments.json, named=arguments.all)


def _view(arguments: argparse.Namespace) -> client.View:
    try:
        return client.status()
    except client.NotRunningError:
        # With -h the agent here is only the messenger, but without it nobody can be asked at all.
        if arguments.what not in ("start", "restart"):
            raise
    from agent.cli.launch import launch

    return launch(arguments.timeout)


def _force(arguments: argparse.Namespace, view: client.View, end: float) -> int:
    absent = [name for name, server in view.status["servers"].items() if server["status"] in ("Offline", "Unknown")]
    if not arguments.they_are_off:
        names = options.names(absent) if absent else "none"
        text = f"Absent: {names}. Make sure that they are off and stay off, then add --they-are-off."
        raise client.CommandError(client.REFUSED, text)
    wish = Wish("cluster_force", "Force the quorum of", view.status["cluster"]["name"], via=arguments.host)
    return report("clpcl", _fulfil([wish], arguments, end), arguments.json, named=False)


def _release(arguments: argparse.Namespace, view: client.View, end: float) -> int:
    servers = view.status["servers"]
    names = [n for n, s in servers.items() if s.get("quarantine")] if arguments.all else [arguments.host or view.me]
    wishes = [Wish("server_release", "Release", name, target=name) for name in names]
    done = _fulfil(wishes, arguments, end)
    if not arguments.json and exit_code(done) == client.OK:
        for one in done:
            print(one.result.text)
        return client.OK
    return report("clpcl", done, arguments.json, named=arguments.all)


def _service(arguments: argparse.Namespace, view: client.View, end: float) -> list[Done]:
    servers = list(view.status["servers"]) if arguments.all else [arguments.host or view.me]
    stopped = all(view.status["servers"].get(name, {}).get("status") == "Offline" for name in servers)
    if arguments.what == "stop" or (arguments.what == "restart" and not stopped):
        done = _stop(arguments, view, servers, end)
        if arguments.what == "stop" or exit_code(done) != client.OK:
            return done
    # A stopped server follows nobody's view: only its own agent can start it.
    starts = [Wish("server_start", _VERBS[arguments.what], name, target=name, via=name) for name in servers]
    return _fulfil(starts, arguments, end)


def _stop(arguments: argparse.Namespace, view: client.View, servers: Sequence[str], end: float) -> list[Done]:
    verb = _VERBS[arguments.what]
    if not arguments.all:
        return _fulfil([Wish("server_stop", verb, name, target=name) for name in servers], arguments, end)
    # One request stops all groups before any server leaves, so that none of them is moved about first.
    whole = _fulfil([_whole(view, "stop", verb)], arguments, end)[0]
    return [
        Done(Wish("cluster_stop", verb, name, target=name), _not_heard(view, name) or whole.result) for name in servers
    ]


def _whole(view: client.View, word: str, verb: str) -> Wish:
    """A request to the whole cluster. Where the service is stopped, a member has to be asked for it."""
    servers = view.status["servers"]
    members = [name for name, server in servers.items() if server["status"] in ("Online", "Suspend")]
    via = "" if view.me in members or not members else members[0]
    return Wish(f"cluster_{word}", verb, view.status["cluster"]["name"], via=via)


def _not_heard(view: client.View, name: str) -> client.Result | None:
    server = view.status["servers"][name]
    if server["status"] != "Unknown":
        return None
    text = f"Nothing is heard of it, so it may still run. {server['detail']}"
    return client.Result(client.REFUSED, "unknown_server", text)


def _fulfil(wishes: Sequence[Wish], arguments: argparse.Namespace, end: float) -> list[Done]:
    left = max(0.1, end - time.monotonic())
    return fulfil(wishes, "clpcl", left, quiet=arguments.json)


def _answer_parts(arguments: argparse.Namespace) -> int:
    """Scripts for the original restart its services after a change; here that asks for nothing or for another way."""
    done = [_part(part, arguments.what) for part in arguments.parts]
    for one in done:
        if one.result.exit_code == client.OK and not arguments.json:
            print(one.result.text)
    if arguments.json or exit_code(done) != client.OK:
        bad = done if arguments.json else [one for one in done if one.result.exit_code != client.OK]
        return report("clpcl", bad, arguments.json, named=False)
    return client.OK


def _part(part: str, what: str) -> Done:
    fact = _PARTS[part]
    built_in = part in ("alert", "ib")
    if what == "restart" and part != "md":
        result = client.Result(client.OK, "nothing_to_do", f"{fact}: nothing to restart.")
    elif what == "start" and built_in:
        result = client.Result(client.OK, "nothing_to_do", f"{fact}: nothing to start.")
    else:
        result = client.Result(client.REFUSED, "not_a_service", f"{fact}: clpcl cannot {what} it.")
    return Done(Wish(f"part_{what}", _VERBS.get(what, what.capitalize()), part, target=part), result)


if __name__ == "__main__":
    sys.exit(main())
