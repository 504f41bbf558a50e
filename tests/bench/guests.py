"""Two small computers with Debian's kernel and its modules, joined by a cable, for a bench that needs both.

All that they run comes from this machine: Python, this checkout, fio, and the tools of DRBD, in an archive in memory.
Kernels and tools are packages of Debian that are fetched once (`apt-get download`), unpacked, never installed. No root
is needed. What they are joined by are sockets without a name, and they end with this program.

`QEMU` emulates each instruction unless the machine has hardware for it (a machine that is itself a guest often only
looks like it). In `UML` the kernel is a process of this machine: instructions run as fast as here, while each system
call and each fault of a page costs a switch between processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.agent.drivers.guest import ROOT, archive
from webmanager.demo.machine import BedError

CACHE = Path.home() / ".cache" / "openclp-bench"
PROGRAMS = ("fio", "ip")
DATA_MB, MEMORY_MB = 128, 1400
NET = "10.29.78"
DOWNLOAD_S, BOOT_S, COMMAND_S = 300, 600, 120
_SKIPPED = {"test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "site-packages", "turtledemo", "__pycache__"}
_HARDWARE = ("kvm_intel", "kvm_amd")
_LIBRARIES = re.compile(r"(/\S+) \(0x")


class Kind(NamedTuple):
    name: str
    kernel: str  # its file in the package
    meta: str  # a package that depends on the one with the kernel; empty: `package` is it
    package: str
    programs: tuple[tuple[str, str], ...]  # of this machine, and their packages
    modules: tuple[str, ...]
    interface: str
    wire: socket.SocketKind

    @property
    def cache(self) -> Path:
        return CACHE / self.name


QEMU = Kind(
    "qemu", "vmlinuz-*", "linux-image-amd64", r"linux-image-\S+", (("qemu-system-x86_64", "qemu-system-x86"),),
    ("virtio_pci", "virtio_net", "brd", "loop", "fuse", "crc32c_generic", "libcrc32c", "drbd"), "eth0",
    socket.SOCK_STREAM,
)  # fmt: skip
UML = Kind(
    "uml", "linux.uml", "", "user-mode-linux", (), ("brd", "loop", "fuse", "drbd"), "vec0", socket.SOCK_SEQPACKET
)


def missing(kind: Kind) -> str:
    """What these computers need and this machine has not; empty: nothing."""
    if platform.machine() != "x86_64":
        return f"the guests are made for x86_64, this machine is {platform.machine()}"
    for program, package in (*kind.programs, ("fio", "fio"), ("ip", "iproute2"), ("dpkg-deb", "dpkg")):
        if shutil.which(program) is None:
            return f"there is no {program} (package {package})"
    try:
        _fetched(kind)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"Debian's kernel and drbd-utils could not be fetched by apt-get download: {error}"
    return ""


def emulated(kind: Kind) -> bool:
    return kind is QEMU and "tcg" in _accelerator()


# ---- what they are made of ----
def _fetched(kind: Kind) -> None:
    cache = kind.cache
    if all(next(cache.rglob(name), None) for name in ("drbd.ko", "drbdsetup-84", kind.kernel)):
        return
    cache.mkdir(parents=True, exist_ok=True)
    package = kind.package
    if kind.meta:
        found = re.search(f"Depends: ({package})", _said("apt-cache", "depends", kind.meta, where=cache))
        if found is None:
            raise ValueError(f"apt knows no {kind.meta}; apt-get update may help")
        package = found[1]
    with tempfile.TemporaryDirectory(dir=cache) as work:
        _said("apt-get", "download", "-qq", package, "drbd-utils", where=Path(work))
        for deb in Path(work).glob("*.deb"):
            _said("dpkg-deb", "--extract", str(deb), str(cache), where=cache)
    if next(cache.rglob("drbd.ko"), None) is None:
        raise ValueError(f"{package} has no drbd.ko")


def _said(*command: str, where: Path) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=DOWNLOAD_S, check=True)
    return done.stdout


def modules_of(kind: Kind) -> list[tuple[str, Path]]:
    """In the order in which they can be loaded; what no file is of is built in."""
    known = {path.stem.replace("-", "_"): path for path in kind.cache.rglob("*.ko")}
    order: dict[str, Path] = {}

    def want(name: str) -> None:
        if name not in known:
            return
        needs = re.search(rb"\0depends=([^\0]+)", known[name].read_bytes())
        for need in needs[1].decode().split(",") if needs else ():
            want(need.replace("-", "_"))
        order[name] = known[name]

    for name in kind.modules:
        want(name)
    return list(order.items())


def _tree(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.is_dir() and path.name not in _SKIPPED and not path.name.startswith("config-"):
            yield from _tree(path)
        elif path.suffix in (".py", ".so"):
            yield path


def _files(kind: Kind, plan: Path) -> dict[str, Path]:
    library, binary = Path(os.__file__).parent, Path(python())
    code = [path for top in (library, ROOT / "agent", Path(msgspec.__file__).parent) for path in _tree(top)]
    programs = [Path(found).resolve() for name in PROGRAMS if (found := shutil.which(name))]
    tools = [path for place in ("lib/drbd", "sbin", "usr/sbin") for path in (kind.cache / place).glob("drbd*")]
    tools = [path for path in tools if path.is_file()]
    files = {str(path): path for path in (binary, *code)}
    files |= {f"/usr/bin/{path.name}": path for path in programs}
    files |= {"/bin/sh": (shell := Path("/bin/sh").resolve())}
    files |= {f"/{path.relative_to(kind.cache)}": path for path in tools}
    for path in (binary, shell, *programs, *tools, *(path for path in code if path.suffix == ".so")):
        linked = subprocess.run(["ldd", path], capture_output=True, text=True, timeout=20, check=False).stdout
        files |= {name: Path(name) for name in _LIBRARIES.findall(linked)}
    files |= {f"/{name}.ko": path for name, path in modules_of(kind)}
    return files | {"/guest.json": plan, "/guest.py": Path(__file__).with_name("guest_init.py")}


def python() -> str:
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def _memory(kind: Kind, place: Path) -> Path:
    words = {"brd": f"rd_nr=4 rd_size={DATA_MB << 10}", "drbd": "usermode_helper=/bin/true"}
    packages = str(Path(msgspec.__file__).parents[1])
    plan = place / "guest.json"
    plan.write_text(json.dumps({
        "modules": [(f"/{name}.ko", words.get(name, "")) for name, _ in modules_of(kind)],
        "environment": {"PYTHONPATH": f"{ROOT}:{packages}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    }))  # fmt: skip
    out = place / "memory"
    out.write_bytes(archive(_files(kind, plan)))
    return out


def _accelerator() -> list[str]:
    hardware = any(Path(f"/sys/module/{name}").exists() for name in _HARDWARE) and os.access("/dev/kvm", os.W_OK)
    return ["-accel", "kvm", "-cpu", "host"] if hardware else ["-accel", "tcg", "-cpu", "max"]


def _command(kind: Kind, memory: Path, name: str, address: str, line: int, cable: int) -> list[str]:
    kernel = str(next(kind.cache.rglob(kind.kernel)))
    init = [f"rdinit={python()}", "--", "-I", "-S", "-u", "/guest.py", name, address, kind.interface]
    hardware = f"02:29:00:00:78:0{address[-1]}"
    if kind is UML:
        return [
            kernel, f"mem={MEMORY_MB}M", f"initrd={memory}", "con=null", "con0=null,fd:1", "ssl=null",
            f"ssl1=fd:{line},fd:{line}", f"vec0:transport=fd,fd={cable},mac={hardware}", "quiet", *init,
        ]  # fmt: skip
    return [
        "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *_accelerator(), "-m", str(MEMORY_MB), "-nodefaults",
        "-display", "none", "-no-reboot", "-serial", "stdio", "-chardev", f"socket,id=l,fd={line}", "-serial",
        "chardev:l", "-netdev", f"stream,id=n,addr.type=fd,addr.str={cable}", "-device",
        f"virtio-net-pci,netdev=n,mac={hardware}", "-kernel", kernel, "-initrd", str(memory), "-append",
        " ".join(["console=ttyS0", "quiet", "panic=-1", "mitigations=off", *init]),
    ]  # fmt: skip


# ---- the computers ----
class Computer:
    """`heard` is called with what the guest tells of itself (`event`)."""

    def __init__(self, kind: Kind, name: str, place: Path, memory: Path, cable: socket.socket) -> None:
        self.name, self.address = name, f"{NET}.{1 if name == 'a' else 2}"
        self.heard: Callable[[dict[str, Any]], None] = lambda event: None
        self._console = place / f"{name}.console"
        self._answers: dict[int, dict[str, Any]] = {}
        self._ids, self._rest = 0, bytearray()
        self.socket, line = socket.socketpair()
        with line, self._console.open("wb") as console:
            self.process = subprocess.Popen(
                _command(kind, memory, name, self.address, line.fileno(), cable.fileno()),
                pass_fds=(line.fileno(), cable.fileno()), stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True, env={**os.environ, "TMPDIR": str(place)},
            )  # fmt: skip
        self.socket.setblocking(False)

    def close(self) -> None:
        """With all that it is made of."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.socket.close()

    def story(self) -> str:
        return f"{self.name}: {self._console.read_text(errors='replace')[-2000:]}"

    def send(self, op: str, **fields: Any) -> int:
        self._ids += 1
        self.socket.setblocking(True)
        self.socket.settimeout(COMMAND_S)
        self.socket.sendall(json.dumps({"op": op, "id": self._ids, **fields}).encode() + b"\n")
        self.socket.setblocking(False)
        return self._ids

    def read(self) -> None:
        """What has come until now."""
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except BlockingIOError:
                return
            if not data:
                raise BedError(f"the guest {self.story()} has ended")
            self._rest += data
            while b"\n" in self._rest:
                line, _, left = bytes(self._rest).partition(b"\n")
                self._rest[:] = left
                said = json.loads(line)
                if "done" in said:
                    self._answers[said["done"]] = said
                else:
                    self.heard(said["event"])

    def wait_up(self) -> None:
        """Until its process 1 speaks."""
        heard: list[dict[str, Any]] = []
        self.heard = heard.append
        deadline = time.monotonic() + BOOT_S
        while not heard:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BedError(f"no guest within {BOOT_S:g} s: {self.story()}")
            time.sleep(0.05)
            self.read()

    def answer(self, number: int) -> dict[str, Any] | None:
        self.read()
        return self._answers.pop(number, None)


@contextlib.contextmanager
def computers(kind: Kind, say: Callable[[str], None]) -> Iterator[dict[str, Computer]]:
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openclp-drbd-", dir="/dev/shm")))
        memory = _memory(kind, place)
        made: dict[str, Computer] = {}
        for name, end in zip("ab", socket.socketpair(socket.AF_UNIX, kind.wire), strict=True):
            with end:
                made[name] = Computer(kind, name, place, memory, end)
            stack.callback(made[name].close)
        for computer in made.values():
            computer.wait_up()
            say(f"guest {computer.name} is up")
        yield made
