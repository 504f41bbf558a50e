"""clpdisknp: prepare the shared disk of a disk resolution (disknp), and look at what is on it.

    clpdisknp init DEVICE [--again]     on one server, once
    clpdisknp show DEVICE

`init` never destroys anything: it takes a disk whose first mebibyte is zeros, or, with --again, one of this cluster on
which nobody has written for a while.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from agent import catalog
from agent.clpconf.load import load
from agent.clpconf.model import Cluster
from agent.drivers.shared_disk import DiskError, SharedDisk
from agent.wire.disk import (
    BLOCK,
    ID_BYTES,
    NEEDED_BYTES,
    Block,
    DamagedError,
    Header,
    decode_block,
    decode_header,
    encode_block,
    encode_header,
    number_of,
)
from agent.wire.epoch import NO_EPOCH

_WATCH_TIMEOUTS = 2.0  # that long nobody may have written before it is made again


class _RefusedError(Exception):
    """What keeps us from it, and the remedy."""


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    try:
        if options.op == "show":
            print(_show(options.device))
        else:
            print(_init(options.device, _cluster(options.conf), again=options.again))
    except (_RefusedError, DiskError, DamagedError, ValueError) as error:
        print(f"clpdisknp: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clpdisknp", description="The shared disk of a disk resolution (disknp).")
    commands = parser.add_subparsers(dest="op", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="prepare it, on one server, once")
    init.add_argument("--again", action="store_true", help="forget what it held; only while all servers are stopped")
    init.add_argument("--conf", default=_conf(), help="clp.conf (default: %(default)s)")
    show = commands.add_parser("show", help="what each server has written there")
    for command in (init, show):
        command.add_argument("device", metavar="DEVICE", help="partition, or file, that all servers see")
    return parser


def _conf() -> str:
    return str(Path(os.environ.get("OPENCLP_ETC") or "/etc/openclp") / "clp.conf")


def _cluster(path: str) -> Cluster:
    try:
        loaded = load(Path(path).read_bytes(), catalog.specs())
    except OSError as error:
        raise _RefusedError(f"{path} cannot be read: {error.strerror}. Name clp.conf with --conf.") from None
    if loaded.cluster is None:
        raise _RefusedError(f"{path} cannot be used:\n" + "\n".join(map(str, loaded.findings)))
    return loaded.cluster


def _init(device: str, cluster: Cluster, *, again: bool) -> str:
    disk = _open(device, exclusive=True)
    try:
        header = decode_header(disk.read())
        if header is None:
            _must_be_blank(disk)
        else:
            _may_be_made_again(disk, header, cluster, again=again)
        _write(disk, Header(os.urandom(ID_BYTES), cluster.name, cluster.server_names))
    finally:
        disk.close()
    return f"{device} is prepared for cluster {cluster.name}: {', '.join(cluster.server_names)}."


def _open(device: str, *, exclusive: bool = False) -> SharedDisk:
    disk = SharedDisk(device, NEEDED_BYTES, exclusive=exclusive)
    if disk.size < NEEDED_BYTES:
        disk.close()
        raise _RefusedError(f"{device} has {disk.size} bytes; at least {NEEDED_BYTES} (1 MiB) are needed.")
    return disk


def _must_be_blank(disk: SharedDisk) -> None:
    if any(disk.read()):
        raise _RefusedError(
            f"{disk.path} holds something. If it is of no use any more: "
            f"dd if=/dev/zero of={disk.path} bs=1M count=1, then clpdisknp init again."
        )


def _may_be_made_again(disk: SharedDisk, header: Header, cluster: Cluster, *, again: bool) -> None:
    if header.cluster != cluster.name:
        raise _RefusedError(
            f"{disk.path} belongs to cluster {header.cluster}. Take another one, or overwrite it by dd."
        )
    if not again:
        raise _RefusedError(f"{disk.path} is prepared already (clpdisknp show). --again forgets what it holds.")
    before = disk.read()
    time.sleep(_WATCH_TIMEOUTS * cluster.timeout_s)
    if disk.read() != before:
        raise _RefusedError(f"{disk.path} is in use: stop the cluster on all servers first (clpcl -t -a).")


def _write(disk: SharedDisk, header: Header) -> None:
    """The header comes last: until then it is a disk that nobody takes for prepared."""
    for copy in (0, 1):
        disk.write(copy * BLOCK, bytes(BLOCK))
    for server in header.servers:
        for copy in (0, 1):
            data = encode_block(header, Block(server), copy, 0)
            disk.write(number_of(header, server, copy) * BLOCK, data)
    for copy in (0, 1):
        disk.write(copy * BLOCK, encode_header(header, copy))


def _show(device: str) -> str:
    disk = _open(device)
    try:
        area = disk.read()
    finally:
        disk.close()
    header = decode_header(area)
    if header is None:
        raise _RefusedError(f"{device} is not prepared; clpdisknp init does that.")
    lines = [f"{device}: cluster {header.cluster}"]
    for server in header.servers:
        try:
            lines.append(_line(decode_block(header, server, area)[0]))
        except DamagedError as error:
            lines.append(f"  {server}: {error}")
    return "\n".join(lines)


def _line(block: Block) -> str:
    if not block.incarnation:
        return f"  {block.server}: has not written yet"
    view = "nothing promised"
    if block.record.epoch != NO_EPOCH:
        view = f"promised view {block.record.epoch} of {', '.join(block.record.members)}"
    return f"  {block.server}: {block.service}, beat {block.seq} of start {block.incarnation}, {view}"


if __name__ == "__main__":
    sys.exit(main())
