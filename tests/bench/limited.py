"""What a bench is slowed down by: disks that the kernel throttles, and a link with a token bucket on both ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from webmanager.demo.machine import BedError

LIMIT_S = 30.0
CLUSTER_BYTES = 1 << 20
_BLKIO = Path("/sys/fs/cgroup/blkio")
_SECTOR = 512
_BLKFLSBUF = 0x1261
# tbf lets so much pass at once; it has to hold a segment as large as the kernel makes them.
_BURST, _QUEUE = 256 << 10, 1 << 20


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode:
        raise BedError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def cannot_limit_disks() -> str:
    """Why; empty: this machine can.

    The kernel's own writing back of pages must be held back like the programs: in version 1 all of them are in the
    root group, which can be limited there only.
    """
    if not (_BLKIO / "blkio.throttle.write_bps_device").exists():
        return "no blkio controller of cgroups version 1 with CONFIG_BLK_DEV_THROTTLING in /sys/fs/cgroup/blkio"
    groups = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    if groups.get("blkio") != "/":
        return f"this program runs in the group {groups.get('blkio')} of blkio, not in the root"
    if shutil.which("addpart") is None:
        return "no addpart (package util-linux)"
    return ""


class LimitedDisk:
    """A loop device on a file, with a cluster partition and a data partition: the limit is of both together."""

    def __init__(self, image: Path, data_bytes: int) -> None:
        with contextlib.ExitStack() as undo:
            with image.open("wb") as file:
                file.truncate(CLUSTER_BYTES + data_bytes)
            undo.callback(image.unlink)
            self.device = run("losetup", "--direct-io=on", "--find", "--show", str(image))
            undo.callback(run, "losetup", "--detach", self.device)
            number = os.stat(self.device).st_rdev
            self._number = f"{os.major(number)}:{os.minor(number)}"
            sizes = (CLUSTER_BYTES // _SECTOR, data_bytes // _SECTOR)
            self.cluster, self.data = self._part(undo, 1, 0, sizes[0]), self._part(undo, 2, *sizes)
            undo.callback(self.limit, 0)
            self._undo = undo.pop_all()

    def _part(self, undo: contextlib.ExitStack, number: int, start: int, sectors: int) -> str:
        run("addpart", self.device, str(number), str(start), str(sectors))
        undo.callback(run, "delpart", self.device, str(number))
        path = f"{self.device}p{number}"
        if not Path(path).is_block_device():  # A file of that name would be written to in its place.
            raise BedError(f"there is no {path}: devtmpfs does not know of partitions of loop devices")
        return path

    def limit(self, bytes_s: float, operations_s: int = 0) -> None:
        """Of reading and of writing; 0 is none."""
        for way in ("read", "write"):
            for unit, value in (("bps", int(bytes_s)), ("iops", operations_s)):
                (_BLKIO / f"blkio.throttle.{way}_{unit}_device").write_text(f"{self._number} {value}")

    def forget(self) -> None:
        """What is in the page cache of the data partition is written and dropped."""
        fd = os.open(self.data, os.O_RDONLY)
        try:
            os.fsync(fd)
            fcntl.ioctl(fd, _BLKFLSBUF)
        finally:
            os.close(fd)

    def close(self) -> None:
        self._undo.close()


@contextlib.contextmanager
def limited_disks(place: Path, names: tuple[str, ...], data_bytes: int) -> Iterator[dict[str, LimitedDisk]]:
    with contextlib.ExitStack() as stack:
        made: dict[str, LimitedDisk] = {}
        for name in names:
            made[name] = LimitedDisk(place / f"{name}.img", data_bytes)
            stack.callback(made[name].close)
        yield made


class Wire:
    """Two networks of their own, `a` and `b`, joined by one cable. They vanish with this program, however it ends."""

    NET = "10.29.77"

    def __init__(self) -> None:
        self._ends: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Wire:
        try:
            for name in ("a", "b"):
                # Whoever keeps the network ends with the pipe that we hold.
                keeper = subprocess.Popen(
                    ["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
                self._ends[name] = keeper
                assert keeper.stdout is not None
                if not keeper.stdout.readline():
                    raise BedError("a network of its own cannot be made: unshare --net failed")
            a, b = (str(self._ends[name].pid) for name in ("a", "b"))
            run("nsenter", f"--net=/proc/{a}/ns/net", "ip", "link", "add", "wire", "type", "veth",
                "peer", "name", "wire", "netns", b)  # fmt: skip
            for name in ("a", "b"):
                self._ip(name, "link", "set", "lo", "up")
                self._ip(name, "address", "add", f"{self.address(name)}/24", "dev", "wire")
                self._ip(name, "link", "set", "wire", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for keeper in self._ends.values():
            keeper.communicate(timeout=LIMIT_S)

    def address(self, name: str) -> str:
        return f"{self.NET}.{1 if name == 'a' else 2}"

    def within(self, name: str) -> tuple[str, ...]:
        """What a command begins with that runs in this network."""
        return ("nsenter", f"--net=/proc/{self._ends[name].pid}/ns/net")

    def _ip(self, name: str, *words: str) -> None:
        run(*self.within(name), "ip", *words)

    def limit(self, bytes_s: float) -> None:
        """Each way, headers included; 0 is none."""
        for name in ("a", "b"):
            tc = (*self.within(name), "tc", "qdisc")
            if bytes_s:
                run(*tc, "replace", "dev", "wire", "root", "tbf", "rate", f"{int(bytes_s * 8)}bit",
                    "burst", str(_BURST), "limit", str(_QUEUE))  # fmt: skip
            else:
                subprocess.run([*tc, "del", "dev", "wire", "root"], capture_output=True, timeout=LIMIT_S, check=False)

    def connected(self, on: bool) -> None:
        self._ip("a", "link", "set", "wire", "up" if on else "down")
