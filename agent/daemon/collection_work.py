"""`python -m agent.daemon.collection_work KIND BYTES OUT`: one server's logs and facts as a tar.gz.

A process of its own and of low priority: reading, packing and XML disturb nobody. Progress on standard output, a number
of percent each line. Secrets of clp.conf are masked, scripts are named with their sizes and sums but not copied, the
cluster key and the passwords of managers are never opened.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from agent.catalog import specs
from agent.clpconf.document import DocumentError
from agent.clpconf.masking import without_secrets
from agent.daemon.load import ConfigurationError, read_config
from agent.daemon.paths import Paths, paths

Kind = Literal["type1", "type2", "type3"]  # usual, with more about the machine, the least
MOST_BYTES = 512 << 20
_COMMAND_S = 10.0
_COMMAND_BYTES = 4 << 20
_STATUS_S, _STATUS_BYTES = 10.0, 64 << 20
_FILES = 2000
_SCRIPTS = 10_000
_SCRIPT_BYTES = 16 << 20

_ALWAYS = (("uname", "-a"), ("uptime",), ("ip", "address"), ("ip", "route"), ("df", "-h"), ("free", "-m"))
_WIDER = (
    ("ps", "-efL"), ("ss", "-tuanp"), ("ip", "-s", "link"), ("ip", "neighbour"), ("lsblk",), ("lsmod",),
    ("journalctl", "--no-pager", "-n", "20000"), ("dmesg", "-T"), ("timedatectl",),
)  # fmt: skip


class Part(NamedTuple):
    name: str  # in the archive
    size: int
    read: Callable[[], bytes]


def parts(places: Paths, kind: Kind) -> Iterator[Part]:
    """The most telling first: where the archive is full, the rest is left out."""
    yield _made("clp.conf", lambda: _config(places))
    yield _made("status.json", lambda: _status(places))
    yield _made("versions.json", lambda: _versions(places))
    if kind != "type3":
        yield _made("scripts.json", lambda: _scripts(Path(places.scripts)))
        yield from (_made(f"system/{'_'.join(c).replace('/', '_')}.txt", lambda c=c: _said(c)) for c in _ALWAYS)  # type: ignore[misc]
    if kind == "type2":
        yield from (_made(f"system/{'_'.join(c).replace('/', '_')}.txt", lambda c=c: _said(c)) for c in _WIDER)  # type: ignore[misc]
    for path in _logs(Path(places.log), kind):
        with suppress(OSError):
            size = path.stat().st_size
            yield Part(f"log/{path.relative_to(places.log)}", size, lambda path=path, size=size: _tail(path, size))  # type: ignore[misc]


def collect(places: Paths, kind: Kind, limit_bytes: int, out: Path, progress: Callable[[int], None]) -> None:
    """Never more than `limit_bytes`. What was left out, and why, is told in the archive itself."""
    left_out: list[str] = []
    chosen = list(parts(places, kind))
    total = sum(part.size for part in chosen) or 1
    done = 0
    temporary = out.with_suffix(".part")
    with (
        open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for part in chosen:
            # Packed text is a fifth at most of what it was; a file that is not is caught by the next one's test.
            if file.tell() + part.size // 4 > limit_bytes:
                left_out.append(f"{part.name}: the archive would be larger than {limit_bytes} bytes")
            else:
                try:
                    _add(archive, part.name, part.read())
                except OSError as error:
                    left_out.append(f"{part.name}: {error.strerror or error}")
            done += part.size
            progress(min(99, 100 * done // total))
        _add(archive, "left_out.txt", "".join(f"{line}\n" for line in left_out).encode())
    temporary.replace(out)


def _made(name: str, make: Callable[[], bytes]) -> Part:
    return Part(name, 64 << 10, make)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), int(time.time()), 0o600
    archive.addfile(info, io.BytesIO(data))


def _config(places: Paths) -> bytes:
    """Never as it is: whoever cannot read it cannot find its secrets either."""
    try:
        return without_secrets(read_config(places.config), specs())
    except (DocumentError, ConfigurationError) as error:
        raise OSError(f"clp.conf cannot be read, so its secrets cannot be removed: {error}") from error


def _versions(places: Paths) -> bytes:
    facts = {"server": places.own_name(), "python": sys.version, "time": time.time()}
    for name in ("incarnation", "promise.json", "switch.json"):
        with suppress(OSError):
            facts[name] = (Path(places.state) / name).read_text("utf-8", "replace")[:100_000]
    return json.dumps(facts, indent=1).encode()


def _scripts(root: Path) -> bytes:
    found = {}
    for number, path in enumerate(sorted(root.rglob("*"))):
        if number >= _SCRIPTS or not path.is_file() or path.is_symlink() or path.stat().st_size > _SCRIPT_BYTES:
            continue
        data = path.read_bytes()
        found[str(path.relative_to(root))] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    return json.dumps(found, indent=1).encode()


def _status(places: Paths) -> bytes:
    data = bytearray()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_STATUS_S)
        sock.connect(places.agent_socket)
        sock.sendall(b'{"op":"status"}\n')
        while not data.endswith(b"\n") and len(data) < _STATUS_BYTES:
            piece = sock.recv(1 << 18)
            if not piece:
                break
            data += piece
    return bytes(data)


def _said(command: tuple[str, ...]) -> bytes:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_S, check=False)
    except FileNotFoundError:
        raise OSError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"{command[0]} did not end within {_COMMAND_S:g} s") from None
    return (done.stdout + done.stderr)[-_COMMAND_BYTES:]


def _logs(root: Path, kind: Kind) -> list[Path]:
    """Events and the agent's own log first, then the newest."""
    found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    if kind == "type3":
        found = [path for path in found if path.parent == root]
    first = ("events.jsonl", "agent.log", "alert.log", "clpd.log")
    rank = {name: number for number, name in enumerate(first)}
    found.sort(key=lambda path: (rank.get(path.name, len(rank)), -_changed(path)))
    return found[:_FILES]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _tail(path: Path, size: int) -> bytes:
    """What was there when it was counted; it may grow meanwhile."""
    with path.open("rb") as file:
        return file.read(size)


def main(arguments: list[str] | None = None) -> int:
    kind, limit, out = arguments or sys.argv[1:]
    if kind not in get_args(Kind):
        return 2
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, 15)
    told = -1

    def progress(percent: int) -> None:
        nonlocal told
        if percent != told:
            told = percent
            sys.stdout.write(f"{percent}\n")
            sys.stdout.flush()

    try:
        collect(paths(), kind, min(int(limit), MOST_BYTES), Path(out), progress)  # type: ignore[arg-type]
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
