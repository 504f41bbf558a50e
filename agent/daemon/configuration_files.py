"""The files of a configuration on one server: stored beside the one in force, then switched to, and never half of it.

Stored is a folder next to clp.conf. The switch is one renaming of that folder to `.clp.switching`; from then on it can
only be completed: whoever finds that folder (this process, or clpd at its next start) carries on where it was left.
Each step of it may be repeated. The version before stands in STATE/configurations/, copied before the switch.

Standard library only: clpd's reader of clp.conf completes a switch before it reads.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path

from agent.daemon.paths import Paths

SCRIPTS = "scripts"
CONF = "clp.conf"
RAN = "clp.conf.running"
KEPT = 20  # versions before
_SWITCHING = ".clp.switching"
_REPLACED = ".scripts.replaced"
_STORED = ".clp.stored-"


def folder(places: Paths) -> Path:
    """For parts on their way, and the versions before."""
    path = Path(places.state) / "configurations"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def stored(places: Paths, key: str) -> Path:
    return Path(places.etc) / f"{_STORED}{key[:32]}"


def store(places: Paths, key: str, conf: bytes, scripts: Mapping[str, tuple[bytes, int]]) -> None:
    """Durable once this returns; nothing in force is touched. `scripts`: path below scripts/ -> content and mode."""
    discard(places)
    final = stored(places, key)
    fresh = final.with_name(f"{final.name}.new")
    fresh.mkdir(mode=0o755)
    _write(fresh / CONF, conf, _mode(places))
    (fresh / SCRIPTS).mkdir(mode=0o755)
    for path, (data, mode) in scripts.items():
        file = fresh / SCRIPTS / path
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(file, data, mode)
    for directory, _, _ in os.walk(fresh):
        _sync(Path(directory))
    fresh.rename(final)
    _sync(final.parent)


def store_copy(places: Paths, key: str, conf: bytes, scripts: Path) -> None:
    """As store(), from a directory of this server, links included; what else is stored stays."""
    final = stored(places, key)
    fresh = final.with_name(f"{final.name}.new")
    for old in (fresh, final):
        shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir(mode=0o755)
    _write(fresh / CONF, conf, _mode(places))
    if scripts.is_dir():
        shutil.copytree(scripts, fresh / SCRIPTS, symlinks=True)
    else:
        (fresh / SCRIPTS).mkdir(mode=0o755)
    _sync_all(fresh)
    fresh.rename(final)
    _sync(final.parent)


def discard(places: Paths) -> None:
    """What was stored and never switched to."""
    for old in Path(places.etc).glob(f"{_STORED}*"):
        shutil.rmtree(old)


def keep(places: Paths, ran: bytes = b"", spare: str = "") -> Path | None:
    """A copy of the files before they are replaced, None where there are none yet. `ran`: the clp.conf that the agent
    goes by; where the file was edited since, it is kept as well. `spare`: an older copy that is needed still."""
    if not Path(places.config).exists():
        return None
    parent = folder(places)
    digest = sha256(Path(places.config).read_bytes()).hexdigest()
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest[:16]}"
    fresh = parent / f".{name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    shutil.copy2(places.config, fresh / CONF)
    if ran and ran != Path(places.config).read_bytes():
        _write(fresh / RAN, ran, 0o600)
    if Path(places.scripts).is_dir():
        shutil.copytree(places.scripts, fresh / SCRIPTS, symlinks=True)
    _sync_all(fresh)
    final = parent / name
    shutil.rmtree(final, ignore_errors=True)
    fresh.rename(final)
    _sync(parent)
    _forget_oldest(parent, (name, spare))  # Clocks go back.
    return final


def switch(places: Paths, key: str) -> None:
    """To what was stored under `key`. FileNotFoundError when it is not."""
    etc = Path(places.etc)
    finish(places)
    shutil.rmtree(etc / _REPLACED, ignore_errors=True)
    stored(places, key).rename(etc / _SWITCHING)
    _sync(etc)
    finish(places)


def finish(places: Paths) -> None:
    """Completes a switch that was begun; nothing happens without one."""
    etc = Path(places.etc)
    fresh, present, replaced = etc / _SWITCHING, Path(places.scripts), etc / _REPLACED
    if not fresh.is_dir():
        return
    if (fresh / SCRIPTS).is_dir():
        if present.is_dir():
            present.rename(replaced)
        (fresh / SCRIPTS).rename(present)
    with contextlib.suppress(FileNotFoundError):  # That step was done already.
        (fresh / CONF).replace(places.config)
    _sync(etc)
    shutil.rmtree(replaced, ignore_errors=True)
    fresh.rmdir()


def _forget_oldest(parent: Path, spared: Collection[str]) -> None:
    versions = sorted(one for one in parent.iterdir() if one.is_dir() and one.name[0] != ".")
    others = [one for one in versions if one.name not in spared]
    for old in others[: max(len(versions) - KEPT, 0)]:
        shutil.rmtree(old, ignore_errors=True)


def _mode(places: Paths) -> int:
    """It may hold passwords: who could not read the old one cannot read the new one."""
    try:
        return Path(places.config).stat().st_mode & 0o777
    except FileNotFoundError:
        return 0o600


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def _sync_all(tree: Path) -> None:
    for directory, _, names in os.walk(tree):
        for name in names:
            if not os.path.islink(os.path.join(directory, name)):
                _sync(Path(directory, name))
        _sync(Path(directory))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
