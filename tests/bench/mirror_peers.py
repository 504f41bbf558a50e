"""Mirrors beside each other for the bench: each with two images on tmpfs of this machine, connected by its loopback.

The others are given what makes them fast and safe: QEMU's storage daemon its write-blocking mirror over NBD, reached
without a block device of the kernel in between (fio speaks NBD); GlusterFS a replica of two bricks without caches that
would answer before both have a write.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.mirrord.holder import Holder
from tests.agent.mirrord import disks
from tests.agent.mirrord.processes import Mirror
from webmanager.demo.machine import BedError

LIMIT_S = 30.0
_GLUSTER = ("/usr/sbin/glusterfsd", "/usr/sbin/glusterfs")


class Peer:
    """`target`: how fio reaches it."""

    def __init__(self, place: Path, size: int) -> None:
        self.place, self.size = place, size
        self.target: list[str] = []
        self._undo = contextlib.ExitStack()
        place.mkdir()

    def image(self, name: str) -> Path:
        path = self.place / name
        with path.open("wb") as file:
            file.truncate(self.size)
        return path

    def run(self, *command: str) -> None:
        """Until `close`."""
        log = self._undo.enter_context((self.place / f"log{len(list(self.place.glob('log*')))}").open("wb"))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._undo.callback(process.wait)
        self._undo.callback(process.kill)

    def loop(self, path: Path) -> None:
        """A loop device with direct I/O on the file."""
        command = ["losetup", "--direct-io=on", "--find", "--show", str(path)]
        device = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S).stdout.strip()
        self._undo.callback(subprocess.run, ["losetup", "--detach", device], check=True, timeout=LIMIT_S)
        self.use(device)

    def use(self, device: str) -> None:
        self.target = [f"--filename={device}", "--ioengine=libaio", "--direct=1"]

    def rest(self) -> None:
        """Between two jobs."""

    def memory(self) -> dict[str, float]:
        """MB of each process, the share that is its own."""
        return {}

    def close(self) -> None:
        self._undo.close()

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                logs = "".join(path.read_text(errors="replace")[-500:] for path in sorted(self.place.glob("log*")))
                raise BedError(f"{type(self).__name__} did not start within {LIMIT_S:g} s: {logs}")
            time.sleep(0.05)


class Bare(Peer):
    def __init__(self, place: Path, size: int) -> None:
        super().__init__(place, size)
        self.loop(self.image("data"))


class PassThrough(Peer):
    """The way of our device without a mirror: kernel, one Python process, the file."""

    def __init__(self, place: Path, size: int) -> None:
        super().__init__(place, size)
        self._disk = disks.Disk(place, size)
        self._undo.callback(self._disk.remove)
        self._disk.process()
        self.use(self._disk.holder.attach())


class Openclp(Peer):
    def __init__(self, place: Path, size: int) -> None:
        super().__init__(place, size)
        self.mirror = Mirror(place, size)
        self._undo.callback(self.mirror.close)
        self.mirror.start()
        self.mirror.construct()
        self.mirror.activate(self.mirror.a)
        self.device = self.mirror.a.attach()
        self.use(self.device)

    def rest(self) -> None:
        self.mirror.turn(0.0)

    def apart(self) -> None:
        """Until `again` only one side has what is written. All before is on both disks for good."""
        fd = os.open(self.device, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        other = self.mirror.b
        name = other.order("break")
        self.mirror.until(lambda: other.told("done", name))

    def carry_on_while(self, command: Sequence[str]) -> None:
        """What the sides ask each other through the cluster has to be carried meanwhile."""
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                self.mirror.until(lambda: process.poll() is not None)
            finally:
                process.kill()
        if process.returncode:
            raise BedError(f"{command[0]} failed on the mirror disk while one side was away")

    def again(self) -> tuple[float, float]:
        """Seconds until both are equal, MB that were sent for it."""
        a, start = self.mirror.a, time.monotonic()
        before = a.state["link"]["sent"]  # Nothing was sent since: the two are apart.
        self.mirror.b.order("join")
        self.mirror.until(lambda: self.mirror.equal() and a.state["mode"] == "mirrored")
        return time.monotonic() - start, (a.state["link"]["sent"] - before) / 1e6

    def memory(self) -> dict[str, float]:
        a, b = self.mirror.a, self.mirror.b
        held = Holder(a.settings).held()
        assert a.process is not None
        assert b.process is not None
        assert held is not None
        return {"active": pss(a.process.pid), "standby": pss(b.process.pid), "holder": pss(held.pid)}


class Qemu(Peer):
    def __init__(self, place: Path, size: int) -> None:
        super().__init__(place, size)
        first, second = self.image("first"), self.image("second")
        there, here, control = place / "there", place / "here", place / "qmp"
        port = free_port()
        self.run(
            "qemu-storage-daemon", "--blockdev", f"driver=file,filename={second},node-name=second",
            "--nbd-server", f"addr.type=inet,addr.host=127.0.0.1,addr.port={port}",
            "--export", "type=nbd,id=e,node-name=second,writable=on,name=x", "--pidfile", str(there),
        )  # fmt: skip
        self.until(there.exists)
        self.run(
            "qemu-storage-daemon", "--blockdev", f"driver=file,filename={first},node-name=first", "--blockdev",
            f"driver=nbd,node-name=other,server.type=inet,server.host=127.0.0.1,server.port={port},export=x",
            "--chardev", f"socket,path={control},server=on,wait=off,id=c", "--monitor", "chardev=c",
            "--nbd-server", f"addr.type=unix,addr.path={here}",
        )  # fmt: skip
        self.until(control.exists)
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(LIMIT_S)
            end.connect(str(control))
            with end.makefile("rw", encoding="utf-8") as lines:
                _ask(lines, "qmp_capabilities", "return")
                _ask(
                    lines, "blockdev-mirror", "BLOCK_JOB_READY", **{
                        "job-id": "m", "device": "first", "target": "other", "sync": "full",
                        "copy-mode": "write-blocking", "filter-node-name": "top",
                    },
                )  # fmt: skip
                _ask(lines, "block-export-add", "return", type="nbd", id="f", name="disk", writable=True, **{
                    "node-name": "top"
                })  # fmt: skip
        self.target = ["--ioengine=nbd", f"--uri=nbd+unix:///disk?socket={here}", f"--size={size}"]


def _ask(lines: Any, command: str, wanted: str, **arguments: Any) -> None:
    """To the monitor of QEMU, until the answer or event that is `wanted`."""
    lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    lines.flush()
    while True:
        said = json.loads(lines.readline() or '{"error": "it has ended"}')
        if "error" in said:
            raise BedError(f"QEMU refuses {command}: {said['error']}")
        if wanted in said or said.get("event") == wanted:
            return


_BRICK = """volume posix
  type storage/posix
  option directory {place}
end-volume
volume locks
  type features/locks
  subvolumes posix
end-volume
volume index
  type features/index
  option index-base {place}/.glusterfs/indices
  subvolumes locks
end-volume
volume brick
  type performance/io-threads
  subvolumes index
end-volume
volume server
  type protocol/server
  option transport-type tcp
  option transport.address-family inet
  option transport.socket.bind-address 127.0.0.1
  option transport.socket.listen-port {port}
  option auth.addr.brick.allow *
  subvolumes brick
end-volume
"""
_CLIENT = """volume c{number}
  type protocol/client
  option transport-type tcp
  option transport.address-family inet
  option remote-host 127.0.0.1
  option remote-port {port}
  option remote-subvolume brick
end-volume
"""
_REPLICA = """volume mirror
  type cluster/replicate
  option afr-pending-xattr c0,c1
  subvolumes c0 c1
end-volume
"""


class Gluster(Peer):
    def __init__(self, place: Path, size: int) -> None:
        super().__init__(place, size)
        ports = [free_port(), free_port()]
        for number, port in enumerate(ports):
            brick = place / f"brick{number}"
            (brick / ".glusterfs").mkdir(parents=True)
            self._start(f"server{number}", _BRICK.format(place=brick, port=port), _GLUSTER[0])
        mount = place / "mount"
        mount.mkdir()
        for port in ports:
            self.until(lambda port=port: _answers(port))
        client = "".join(_CLIENT.format(number=number, port=port) for number, port in enumerate(ports)) + _REPLICA
        self._start("client", client, _GLUSTER[1], "--direct-io-mode=enable", str(mount))
        self._undo.callback(subprocess.run, ["umount", "--lazy", str(mount)], check=False, timeout=LIMIT_S)
        self.until(lambda: mount.is_mount() and self._ready(mount))
        self.loop(mount / "disk")

    def _start(self, name: str, volumes: str, program: str, *more: str) -> None:
        path = self.place / f"{name}.vol"
        path.write_text(volumes)
        self.run(program, "-N", "-f", str(path), "-l", str(self.place / f"log-{name}"), *more)

    def _ready(self, mount: Path) -> bool:
        """Both bricks take part: what is written is on both."""
        try:
            with (mount / "disk").open("wb") as file:
                file.truncate(self.size)
        except OSError:
            return False
        return all((self.place / f"brick{number}" / "disk").exists() for number in range(2))


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port() -> int:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return int(end.getsockname()[1])


def pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def missing() -> dict[type[Peer], str]:
    """Who cannot take part, and why."""
    found: dict[type[Peer], str] = {}
    if shutil.which("qemu-storage-daemon") is None:
        found[Qemu] = "no qemu-storage-daemon (package qemu-system-common or qemu-utils)"
    elif "nbd" not in subprocess.run(["fio", "--enghelp"], capture_output=True, text=True, timeout=LIMIT_S).stdout:
        found[Qemu] = "this fio does not speak NBD"
    if not all(os.access(path, os.X_OK) for path in _GLUSTER):
        found[Gluster] = "no glusterfs-server"
    return found


@contextlib.contextmanager
def peers(kinds: Sequence[type[Peer]], place: Path, size: int) -> Iterator[dict[str, Peer]]:
    """All of them at the same time, by name."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Peer] = {}
        for kind in kinds:
            peer = kind(place / kind.__name__.lower(), size)
            stack.callback(peer.close)
            made[kind.__name__] = peer
        yield made
