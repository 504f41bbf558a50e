"""clplogcc: collect logs, configuration, events and the newest failover of all servers into one archive."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from agent.cli import client, display, options
from agent.cli.log_fetch import fetch
from agent.wire.logs import archive
from agent.wire.logs.archive import Fetched
from agent.wire.logs.conversation import AT_ONCE, DEFAULT_MIB, KINDS, MOST_MIB

_NOTES = """
  clplogcc [-n SERVER ...] [-t type1|type2|type3] [-o FILE]   of all servers, or of those that are named
  clplogcc -l [...]                                           of this server only, also when no agent runs
  type1 is usual, type2 tells more about the machines, type3 is the least.
  In the archive: a directory for each server, timeline.txt and timeline.jsonl (all servers by one clock), cause.txt
  (the cluster now and its newest failover). Passwords of clp.conf are masked; scripts are named, not copied.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clplogcc", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clplogcc", "Collect the logs of the cluster into one archive.", _NOTES)
    made.add_argument("-n", dest="servers", nargs="+", default=[], metavar="SERVER", help="of these servers only")
    made.add_argument("-t", dest="kind", choices=KINDS, default="type1", help="how much")
    made.add_argument("-l", dest="local", action="store_true", help="of this server only")
    made.add_argument("-o", dest="out", default="", metavar="FILE", help="default: clplogcc-TIME.tar.gz, here")
    made.add_argument("--limit", type=int, default=DEFAULT_MIB, metavar="MIB",
                      help=f"most of one server, packed (default {DEFAULT_MIB}, at most {MOST_MIB})")  # fmt: skip
    options.add_timeout(made)
    arguments = made.parse_args(argv)
    if not 1 <= arguments.limit <= MOST_MIB:
        made.error(f"--limit is 1 to {MOST_MIB}")
    if arguments.local and arguments.servers:
        made.error("-l and -n exclude each other")
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out or f"clplogcc-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.tar.gz")
    if out.exists():
        raise client.CommandError(client.USAGE, f"{out} is there already. Name another file with -o.")
    view = _view(local=arguments.local)
    servers = _servers(arguments, view)
    with tempfile.TemporaryDirectory(prefix=".clplogcc-", dir=_directory(out)) as scratch:
        place = Path(scratch)
        fetched = _fetch_all(servers, arguments, place) if view else [_local(arguments, place)]
        _write(out, fetched, view)
    return _report(out, fetched, as_json=arguments.json)


def _directory(out: Path) -> Path:
    directory = out.absolute().parent
    if not directory.is_dir() or not os.access(directory, os.W_OK):
        raise client.CommandError(client.REFUSED, f"{directory} is no directory that can be written to.")
    return directory


def _view(*, local: bool) -> client.View | None:
    """None: nobody answers here, and only this server is asked for."""
    try:
        return client.status()
    except (client.CommandError, TimeoutError):
        if local:
            return None
        raise


def _servers(arguments: argparse.Namespace, view: client.View | None) -> list[str]:
    if view is None or arguments.local:
        return [view.me if view else client.own_name()]
    known = list(view.status["servers"])
    for name in arguments.servers:
        options.need_server(name, known)
    return list(dict.fromkeys(arguments.servers)) or known


def _local(arguments: argparse.Namespace, scratch: Path) -> Fetched:
    """Without an agent: packed by ourselves."""
    me = client.own_name()
    path = scratch / f"{me}.tar.gz"
    command = (sys.executable, "-m", "agent.daemon.collection_work", arguments.kind, str(arguments.limit << 20), path)
    try:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=arguments.timeout)
    except subprocess.TimeoutExpired:
        text = f"The logs were not collected within {arguments.timeout:g} s. Take less of them (-t type3)."
        raise client.CommandError(client.REFUSED, text) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise client.CommandError(client.REFUSED, f"The logs cannot be collected: {said}")
    return Fetched(me, path, None)


def _fetch_all(servers: Sequence[str], arguments: argparse.Namespace, scratch: Path) -> list[Fetched]:
    end = time.monotonic() + arguments.timeout
    percents: dict[str, int] = dict.fromkeys(servers, 0)
    lock = Lock()
    with options.progress_lines(not arguments.json) as show:

        def progress(server: str, percent: int) -> None:
            with lock:
                percents[server] = percent
                mean = sum(percents.values()) // len(percents)
                show(f"{mean} %: " + ", ".join(f"{name} {done} %" for name, done in percents.items() if done < 100))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            works = [pool.submit(fetch, s, arguments.kind, arguments.limit << 20, scratch, end, progress)
                     for s in servers]  # fmt: skip
            return [work.result() for work in works]


# The archive ---------------------------------------------------------------------------------------------------------


def _write(out: Path, fetched: Sequence[Fetched], view: client.View | None) -> None:
    try:
        archive.write(out, fetched, _now(view), time.time())
    except OSError as error:
        raise client.CommandError(client.REFUSED, f"{out} cannot be written: {error.strerror or error}.") from None


def _now(view: client.View | None) -> str:
    if view is None:
        return "No agent answers here.\n"
    notes = (f" Note: {note}" for note in display.notes(view.status, ages=True))
    return "\n".join((display.cluster_status(view.status, view.me, long=True), *notes, ""))


def _report(out: Path, fetched: Sequence[Fetched], *, as_json: bool) -> int:
    missing = [one for one in fetched if one.path is None]
    if as_json:
        errors = {one.server: one.error for one in missing}
        servers = [one.server for one in fetched if one.path is not None]
        print(options.json_text({"ok": not missing, "file": str(out), "servers": servers, "errors": errors}))
    else:
        print(out)
    for one in missing:
        print(f"clplogcc: {one.server} is missing: {one.error}", file=sys.stderr)
    return client.REFUSED if missing else client.OK


if __name__ == "__main__":
    sys.exit(main())
