"""A small computer in software: Debian's kernel in QEMU, with this Python and one script in memory, and no disk."""

from __future__ import annotations

import gzip
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
_LIST = """
import sys
sys.path[:0] = {paths!r}
import {modules}
for module in list(sys.modules.values()):
    if getattr(module, "__file__", None):
        print(module.__file__)
"""
_MODULES = ("watchdog.ko", "softdog.ko")
_DOWNLOAD_S, _BOOT_S = 100, 110


class UnavailableError(Exception):
    """There is no such computer here; the sentence says what is missing."""


class Guest:
    """`cache` keeps the kernel and its modules, which are fetched once."""

    def __init__(self, cache: Path, modules: Sequence[str] = _MODULES) -> None:
        if platform.machine() != "x86_64" or not shutil.which("qemu-system-x86_64"):
            raise UnavailableError("needs qemu-system-x86_64: apt-get install qemu-system-x86")
        self.kernel, self.modules = _kernel(cache, modules)

    def run(
        self, script: Path, modules: Sequence[str], memory: Path, paths: Sequence[str] = (), limit_s: float = _BOOT_S
    ) -> str:
        """What the script printed until the guest ended; `modules`: those that it imports, from our root or `paths`,
        which are its arguments."""
        python = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
        paths = [str(ROOT), *paths]
        files = {path: Path(path) for path in _needed(python, modules, paths)}
        files |= {f"/{module.name}": module for module in self.modules}
        files["/guest.py"] = script
        memory.write_bytes(gzip.compress(archive(files), 1))
        command = f"console=ttyS0 quiet panic=-1 rdinit={python} -- -I -S -u /guest.py {' '.join(paths)}"
        argv = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults", "-display", "none",
            "-no-reboot", "-serial", "stdio", "-kernel", str(self.kernel), "-initrd", str(memory), "-append", command,
        ]  # fmt: skip
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False)
        said = done.stdout.decode("utf-8", "replace").replace("\r", "")
        assert done.returncode == 0, f"{said}\n{done.stderr.decode()}"
        return said


def _kernel(cache: Path, names: Sequence[str]) -> tuple[Path, list[Path]]:
    if not list(cache.rglob("vmlinuz-*")):
        _fetch(cache, names)
    found = [next(iter(cache.rglob(name)), None) for name in ("vmlinuz-*", *names)]
    if None in found:
        raise UnavailableError(f"the kernel in {cache} lacks one of {', '.join(names)}")
    kernel, *modules = [path for path in found if path is not None]
    return kernel, modules


def _fetch(cache: Path, names: Sequence[str]) -> None:
    """A kernel package, unpacked and not installed."""
    try:
        depends = _said("apt-cache", "depends", "linux-image-cloud-amd64", where=cache)
        package = re.search(r"Depends: (linux-image-\S+)", depends)
        if package is None:
            raise UnavailableError("apt knows no linux-image-cloud-amd64; apt-get update may help")
        _said("apt-get", "download", "-qq", package[1], where=cache)
        (deb,) = cache.glob("*.deb")
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpack:
            wanted = ["--wildcards", "./boot/vmlinuz-*", *(f"*/{name}" for name in names)]
            subprocess.run(["tar", "-x", "-C", cache, *wanted], stdin=unpack.stdout, timeout=_DOWNLOAD_S, check=True)
        deb.unlink()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"no kernel could be fetched by apt-get download: {error}") from error


def _said(*command: str, where: Path) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=_DOWNLOAD_S, check=True)
    return done.stdout


def _needed(python: str, modules: Sequence[str], paths: Sequence[str]) -> set[str]:
    """Files that this Python opens to import the modules, and what those are linked with."""
    code = _LIST.format(paths=list(paths), modules=", ".join(modules))
    listed = subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    files = {python, *listed.stdout.split()}
    for binary in [path for path in files if path == python or path.endswith(".so")]:
        linked = subprocess.run(["ldd", binary], capture_output=True, text=True, timeout=20, check=False).stdout
        files |= set(re.findall(r"(/\S+) \(0x", linked))
    return files


def archive(files: dict[str, Path]) -> bytes:
    """The kernel's own form of an archive (cpio, newc)."""
    out = bytearray()
    directories = {str(parent) for path in files for parent in Path(path).parents} - {"/"}
    directories |= {"/dev", "/proc", "/sys"}
    # Python takes the directory of its extensions for a sign that it is installed.
    directories |= {str(Path(path).parent / "lib-dynload") for path in files if path.endswith("/os.py")}
    for directory in sorted(directories):
        out += _entry(directory, stat.S_IFDIR | 0o755, b"")
    out += _entry("/dev/console", stat.S_IFCHR | 0o600, b"", device=(5, 1))
    for path, source in files.items():
        out += _entry(path, stat.S_IFREG | 0o755, source.read_bytes())
    return bytes(out + _entry("/TRAILER!!!", 0, b""))


def _entry(path: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> bytes:
    name = path.lstrip("/").encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def cache_of(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    os.chmod(directory, 0o755)
    return directory
