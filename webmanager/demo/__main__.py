"""The command line of the demo: bin/demo, python -m webmanager.demo, manage.py demo."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from webmanager.demo.arbiters import RESOLVERS
from webmanager.demo.check import check
from webmanager.demo.control import ask
from webmanager.demo.demo import OPS, PORTS, SERVERS, Demo, default_directory
from webmanager.demo.machine import BedError

TRY = """
Try, here or as buttons on the page, from another shell:
  bin/demo crash server1            its power is cut; its group moves
  bin/demo recover server1          it comes back; nothing moves by itself
  bin/demo run server1 clpgrp -m failover1 -a server1
  bin/demo cut ic1                  a whole LAN is gone; bin/demo cut pub server1: one cable
  bin/demo isolate server1          all of its cables: who serves now, and why, is said on the page
  bin/demo status                   clpstat, what the client sees, what is broken
  bin/demo heal                     everything plugged in and powered on
Ctrl-C here, or bin/demo down, ends it and leaves nothing."""


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(prog="demo", description="A cluster in namespaces of this machine.")
    out.add_argument(
        "--data", type=Path, default=default_directory(), help="the demo's directory (default: %(default)s)"
    )
    commands = out.add_subparsers(dest="op", metavar="COMMAND")
    up = commands.add_parser("up", help="start it and stay until Ctrl-C (the default)")
    up.add_argument("--check", action="store_true", help="do the whole round without a person; exit code 0: all held")
    up.add_argument("--no-manager", action="store_true", help="only the cluster, without the console")
    up.add_argument(
        "--ports", default=",".join(map(str, PORTS)), help="of the console and of REST (default: %(default)s)"
    )
    up.add_argument(
        "--shape", choices=("plain", "mirror"), default="plain",
        help="mirror: two servers whose first group keeps its data on a mirror disk (default: %(default)s)",
    )  # fmt: skip
    up.add_argument(
        "--service", choices=("count", "postgresql"), default="count",
        help="with --shape mirror: what keeps its data there (default: %(default)s, a web page that counts requests)",
    )  # fmt: skip
    up.add_argument(
        "--resolver", default="", metavar="NAME[,NAME]",
        help=f"network partition resolution: none, or some of {', '.join(RESOLVERS)}"
        " (default: majority; with a mirror: witness)",
    )  # fmt: skip
    up.add_argument("--servers", type=int, choices=SERVERS, default=0, help="how many (default: 3; mirror: 2)")
    commands.add_parser("status", help="what the cluster, the client and the faults are")
    for name, words in (("crash", "cut the power of a server"), ("hang", "stop every process of a server"),
                        ("recover", "power on, or go on after a hang"),
                        ("isolate", "pull every cable of a server")):  # fmt: skip
        commands.add_parser(name, help=words).add_argument("server", metavar="S")
    cut = commands.add_parser("cut", help="cut a LAN, or the cable of one server to it")
    cut.add_argument("lan", metavar="LAN")
    cut.add_argument("server", metavar="S", nargs="?", default="")
    witness = commands.add_parser("cut-witness", help="cut all servers, or one, off from the witness")
    witness.add_argument("server", metavar="S", nargs="?", default="")
    commands.add_parser("mend-witness", help="let every server reach the witness again")
    commands.add_parser("heal", help="plug everything in, power everything on")
    commands.add_parser("down", help="end the running demo")
    run = commands.add_parser("run", help="run a command on a server: run server1 clpstat")
    run.add_argument("server", metavar="S")
    run.add_argument("argv", metavar="WORD", nargs=argparse.REMAINDER)
    # `demo --check` is `demo up --check`; `--data` may stand behind the command as well.
    for command in commands.choices.values():
        command.add_argument("--data", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return out


def main(words: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if words is None else words)
    if not any(word in ("up", *OPS) for word in given) and not {"-h", "--help"} & set(given):
        given.insert(0, "up")
    options = parser().parse_args(given)
    try:
        if options.op == "up":
            return _up(options)
        return _ask(options)
    except BedError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(options: argparse.Namespace) -> int:
    # A closed terminal or `kill` ends the demo as Ctrl-C does: in order.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    ports = None if options.no_manager else _ports(options.ports)
    mirror = options.shape == "mirror"
    servers = options.servers or (2 if mirror else 3)
    if mirror and (servers != 2 or options.check):
        raise BedError("--shape mirror goes with two servers, and without --check")
    database = options.service == "postgresql"
    if database and not mirror:
        raise BedError("--service postgresql goes with --shape mirror, on which its data are")
    resolvers = _resolvers(options.resolver or ("witness" if mirror else "majority"))
    if options.check:
        return check(options.data, ports, lambda line: print(line, flush=True), resolvers, servers)
    with Demo(
        options.data, ports=ports, resolvers=resolvers, servers=servers, mirror=mirror, database=database
    ) as demo:
        print(demo.text())
        if there := demo.console:
            print(f"\nConsole: {there.url}  user {there.user}  password {there.password}")
        print(TRY, flush=True)
        try:
            while not demo.ended.wait(0.5):
                pass
        except KeyboardInterrupt:
            print("\nEnding ...", flush=True)
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _ports(text: str) -> tuple[int, int]:
    try:
        web, rest = (int(word) for word in text.split(","))
    except ValueError:
        raise BedError(f"--ports takes two numbers, as in --ports {PORTS[0]},{PORTS[1]}, not {text!r}") from None
    return web, rest


def _resolvers(text: str) -> tuple[str, ...]:
    names = tuple(word for word in text.split(",") if word != "none")
    if unknown := [name for name in names if name not in RESOLVERS]:
        raise BedError(f"--resolver takes none, or some of {', '.join(RESOLVERS)}, not {unknown[0]!r}")
    return tuple(dict.fromkeys(names))


def _ask(options: argparse.Namespace) -> int:
    request = {key: value for key, value in vars(options).items() if key in ("op", "server", "lan", "argv")}
    answer = ask(options.data / "control.sock", request)
    text = str(answer.get("text") or answer.get("error") or "")
    print(text, file=sys.stdout if answer.get("ok") else sys.stderr)
    return 0 if answer.get("ok") else 1


if __name__ == "__main__":
    sys.exit(main())
