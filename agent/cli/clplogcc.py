"""clplogcc: collect logs, configuration, events and the newest failover of all servers into one archive."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from agent.cli import client, display, options
from agent.cli.log_fetch import Fetched, fetch
from agent.cli.log_timeline import Clock, Line, jsonl, merge, newest_failover, read_notes, text
from agent.wire.report import Note

_NOTES = """
  clplogcc [-n SERVER ...] [-t type1|type2|type3] [-o FILE]   of all servers, or of those that are named
  clplogcc -l [...]                                           of this server only, also when no agent runs
  type1 is usual, type2 tells more about the machines, type3 is the least.
  In the archive: a directory for each server, timeline.txt and timeline.jsonl (all servers by one clock), cause.txt
  (the cluster now and its newest failover). Passwords of clp.conf are masked; scripts are named, not copied.
"""
AT_ONCE = 8
_DEFAULT_MIB, _MOST_MIB = 128, 512
_EVENTS = ("log/events.jsonl", *(f"log/events.jsonl.{number}" for number in range(1, 4)))
_EVENTS_BYTES = 64 << 20  # of one server, unpacked
_MEMBERS = 5000


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clplogcc", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clplogcc", "Collect the logs of the cluster into one archive.", _NOTES)
    made.add_argument("-n", dest="servers", nargs="+", default=[], metavar="SERVER", help="of these servers only")
    made.add_argument("-t", dest="kind", choices=("type1", "type2", "type3"), default="type1", help="how much")
    made.add_argument("-l", dest="local", action="store_true", help="of this server only")
    made.add_argument("-o", dest="out", default="", metavar="FILE", help="default: clplogcc-TIME.tar.gz, here")
    made.add_argument("--limit", type=int, default=_DEFAULT_MIB, metavar="MIB",
                      help=f"most of one server, packed (default {_DEFAULT_MIB}, at most {_MOST_MIB})")  # fmt: skip
    options.add_timeout(made)
    arguments = made.parse_args(argv)
    if not 1 <= arguments.limit <= _MOST_MIB:
        made.error(f"--limit is 1 to {_MOST_MIB}")
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
    if unknown := next((name for name in arguments.servers if name not in known), ""):
        raise client.CommandError(client.REFUSED, f"There is no server {unknown}. Known: {options.names(known)}.")
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
    """Whole or not at all."""
    clocks = {one.server: one.clock for one in fetched if one.clock is not None}
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    notes: list[Note] = []
    try:
        with (
            open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive,
        ):
            for one in fetched:
                if one.path is None:
                    _add(archive, f"{one.server}/NOT_COLLECTED.txt", f"{one.error}\n".encode())
                else:
                    notes += _copy(archive, one.server, one.path)
            lines = merge(notes, clocks)
            _add(archive, "timeline.txt", text(lines, clocks).encode())
            _add(archive, "timeline.jsonl", jsonl(lines))
            _add(archive, "cause.txt", _cause(lines, clocks, view).encode())
        temporary.replace(out)
    except OSError as error:
        raise client.CommandError(client.REFUSED, f"{out} cannot be written: {error.strerror or error}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def _copy(archive: tarfile.TarFile, server: str, path: Path) -> list[Note]:
    """Its files below its name; only plain files are taken, and no path leads out of there."""
    notes: list[Note] = []
    left = _EVENTS_BYTES
    try:
        with tarfile.open(path, "r:gz") as source:
            for number, member in enumerate(source):
                name = os.path.normpath(member.name)
                data = source.extractfile(member) if member.isfile() else None
                if data is None or name.startswith(("/", "..")) or number >= _MEMBERS:
                    continue
                info = tarfile.TarInfo(f"{server}/{name}")
                info.size, info.mtime, info.mode = member.size, member.mtime, 0o600
                if name in _EVENTS and member.size <= left:
                    left -= member.size
                    raw = data.read()
                    notes += read_notes(raw)
                    archive.addfile(info, io.BytesIO(raw))
                else:
                    archive.addfile(info, data)
    except (tarfile.TarError, EOFError) as error:
        _add(archive, f"{server}/DAMAGED.txt", f"{error}\n".encode())
    return notes


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), int(time.time()), 0o600
    archive.addfile(info, io.BytesIO(data))


def _cause(lines: Sequence[Line], clocks: Mapping[str, Clock], view: client.View | None) -> str:
    """What somebody wants to know first."""
    now = "No agent answers here.\n"
    if view is not None:
        notes = (f" Note: {note}" for note in display.notes(view.status, ages=True))
        now = "\n".join((display.cluster_status(view.status, view.me, long=True), *notes, ""))
    failover = newest_failover(lines)
    told = text(failover, clocks) if failover else "No server was lost and no group failed over.\n"
    errors = [line for line in lines if line.note.severity == "error"][-50:]
    grave = text(errors, {}) if errors else "None.\n"
    return f"THE CLUSTER NOW\n\n{now}\nTHE NEWEST FAILOVER\n\n{told}\nTHE NEWEST ERRORS\n\n{grave}"


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
