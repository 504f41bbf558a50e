"""`python -m agent.daemon.configuration_work pack|store|switch|...`: the parts of a delivery that take long.

A process of its own: XML, archives and slow disks stay out of the daemon. It prints one JSON object: {"error": ...},
or what the step found. `store` is where a configuration is checked on the very server that shall run it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from agent.catalog import specs
from agent.clpconf.archive import (
    MAX_ARCHIVE_BYTES,
    MAX_FILES,
    MAX_SCRIPT_BYTES,
    ArchiveError,
    Bundle,
    Script,
    check_path,
    read_archive,
    write_archive,
)  # fmt: skip
from agent.clpconf.diff import diff, diff_scripts
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.plan import Plan, plan
from agent.daemon import configuration_files as files
from agent.daemon import switching
from agent.daemon.load import LIMIT_BYTES, ConfigurationError, read_config, read_model
from agent.daemon.paths import Paths, paths
from agent.daemon.running import RUNNING, Running, read_running, write_running
from agent.daemon.switching import SwitchError
from agent.drivers import kernel
from agent.drivers.files import read_limited
from agent.wire.switch import Stored, Switch, config_id

Answer = dict[str, Any]
_MOST_SAID = 50


class WorkError(Exception):
    """A sentence for whoever delivers."""


def pack(places: Paths) -> Answer:
    """What this incarnation runs, with the scripts, as one archive below the state directory."""
    conf = _in_force(places)
    data = write_archive(Bundle(conf, _scripts(Path(places.scripts))))
    if len(data) > MAX_ARCHIVE_BYTES:
        raise WorkError(f"clp.conf and scripts have more than {MAX_ARCHIVE_BYTES} bytes as an archive.")
    key = sha256(data).hexdigest()
    files.folder(places).joinpath(f"out-{key[:16]}").write_bytes(data)
    edited = read_limited(Path(places.config), LIMIT_BYTES) != conf
    return {"id": key, "size": len(data), "edited": edited}


def store(places: Paths, key: str) -> Answer:
    """From the parts that came: checked, then stored beside what is in force."""
    source = files.folder(places) / f"in-{key[:16]}"
    bundle = _bundle(read_limited(source, MAX_ARCHIVE_BYTES) or b"", key)
    servers = _servers(places, bundle.conf)
    answer, needs = _difference(places, bundle)
    files.store(places, key, bundle.conf, {path: (one.data, one.mode) for path, one in bundle.scripts.items()})
    found = Stored(
        config=config_id(bundle.conf), key=key, groups=_stopped_groups(needs, places), level=needs.level,
        servers=tuple(servers),
    )  # fmt: skip
    switching.write_stored(places, found)
    source.unlink(missing_ok=True)
    return {**answer, "servers": servers, "config": found.config, "groups": found.groups, "level": found.level}


def switch(places: Paths, key: str, stopped: bool) -> Answer:
    """Of a stopped service, or of scripts alone while it runs."""
    if not files.stored(places, key).is_dir():
        raise WorkError("This configuration is not stored here.")
    kept = files.keep(places, _in_force(places) if Path(places.config).exists() else b"")
    if stopped:
        switching.overridden(places)
    files.switch(places, key)
    return {"kept": kept.name if kept is not None else "", "hash": _hash(places)}


def apply(places: Paths, incarnation: int, change: Switch) -> Answer:
    """Of a running service, there and back: the daemon that asks ends when this is done."""
    with switching.alone(places):
        source = _fresh(places, change)
        cluster, findings = read_model(source, places)
        if cluster is None:
            raise WorkError("It cannot be run: " + "\n".join(findings[:_MOST_SAID]))
        if change.state == "returned":
            switching.go_back(places, change, incarnation)
        else:
            switching.go(places, change, incarnation, _in_force(places))
        running = Running(incarnation=incarnation, config=source, cluster=cluster, findings=findings)
        write_running(Path(places.state) / RUNNING, running)
    return {"config": config_id(source)}


def _fresh(places: Paths, change: Switch) -> bytes:
    """The clp.conf that will be in force."""
    if change.state == "returned":
        return switching.before(places, change)
    try:
        return read_config(str(files.stored(places, change.key) / files.CONF))
    except ConfigurationError:
        raise WorkError("The configuration is not stored here: push it again.") from None


def restore(places: Paths, name: str) -> Answer:
    """A version before, as `switch` has named it."""
    if not name or "/" in name or name.startswith("."):
        raise WorkError("This is no name of a version.")
    source = files.folder(places) / name
    scripts = {path: (one.data, one.mode) for path, one in _scripts(source / files.SCRIPTS).items()}
    files.store(places, f"back-{name}", read_config(str(source / files.CONF)), scripts)
    files.switch(places, f"back-{name}")
    return {"hash": _hash(places)}


def _hash(places: Paths) -> str:
    return sha256(read_config(places.config)).hexdigest()


def install(places: Paths, data: bytes) -> Answer:
    """Where no agent runs: all steps at once, under the lock of clpd."""
    places.make()
    with _alone(places):
        files.finish(places)
        key = sha256(data).hexdigest()
        bundle = _bundle(data, key)
        servers = _servers(places, bundle.conf)
        files.store(places, key, bundle.conf, {path: (one.data, one.mode) for path, one in bundle.scripts.items()})
        return {**switch(places, key, True), "servers": servers, "me": places.own_name()}


def _in_force(places: Paths) -> bytes:
    running = read_running(Path(places.state) / RUNNING)
    return read_config(places.config) if running is None else running.config


def _bundle(data: bytes, key: str) -> Bundle:
    if sha256(data).hexdigest() != key:
        raise WorkError("The archive did not arrive whole. Push again.")
    return read_archive(data)


def _servers(places: Paths, conf: bytes) -> list[str]:
    """Of a configuration that can be run, and that has this server."""
    cluster, findings = read_model(conf, places)
    if cluster is None:
        errors = [finding for finding in findings if finding.startswith("error")]
        raise WorkError("It cannot be run: " + "\n".join(errors[:_MOST_SAID]))
    names, me = list(cluster.server_names), places.own_name()
    if me not in names:
        raise WorkError(f"It has no server {me}, only {', '.join(names)}.")
    return names


def _difference(places: Paths, bundle: Bundle) -> tuple[Answer, Plan]:
    """What the change needs, by what runs here. `scripts`: nothing else changes, not even a byte of clp.conf."""
    ran = _in_force(places)
    before, after = Document.read(ran), Document.read(bundle.conf)
    differences = diff(before, after, specs())
    needs = plan(differences, before, after, specs())
    differences += diff_scripts(_scripts(Path(places.scripts)), bundle.scripts)
    words = needs.words()[:_MOST_SAID]
    return {"changes": len(differences), "scripts": bundle.conf == ran, "words": words}, needs


def _stopped_groups(needs: Plan, places: Paths) -> tuple[str, ...]:
    """By the names that they have, and shall have."""
    running = read_running(Path(places.state) / RUNNING)
    if needs.level == "stop" and running is not None:
        return tuple(group.name for group in running.cluster.groups)
    found = [step.name for step in needs.groups if step.step != "starts"]
    why = [one for step in needs.groups for one in step.why]
    found += [one.before for one in why if one.kind == "group" and one.change == "renamed"]
    return tuple(dict.fromkeys(found))


def _scripts(directory: Path) -> Mapping[str, Script]:
    found: dict[str, Script] = {}
    for path in sorted(directory.rglob("*")) if directory.is_dir() else ():
        name = path.relative_to(directory).as_posix()
        if path.is_symlink() or not path.is_file() or check_path(name):
            continue  # The agent's own work never makes one; an administrator's link stays on its server.
        if len(found) >= MAX_FILES:
            raise WorkError(f"{directory} has more than {MAX_FILES} files.")
        found[name] = Script(read_limited(path, MAX_SCRIPT_BYTES) or b"", path.stat().st_mode & 0o777)
    return found


@contextlib.contextmanager
def _alone(places: Paths) -> Iterator[None]:
    with open(places.lock, "a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkError("clpd runs here, but does not answer. See its agent.log, or stop it.") from None
        yield


def _work(arguments: list[str]) -> Answer:
    places = paths()
    match arguments:
        case ["pack"]:
            return pack(places)
        case ["store", key]:
            return store(places, key)
        case ["switch", key, service]:
            return switch(places, key, service == "stopped")
        case ["apply", incarnation, parent, change]:
            kernel.die_with_parent(int(parent))  # Never beside the next daemon.
            return apply(places, int(incarnation), msgspec.json.decode(change, type=Switch))
        case ["restore", name]:
            return restore(places, name)
        case ["install"]:
            return install(places, sys.stdin.buffer.read(MAX_ARCHIVE_BYTES + 1))
    raise WorkError("usage: pack | store ID | switch ID online|stopped | restore NAME | install | apply ...")


def main(arguments: list[str] | None = None) -> int:
    os.umask(0o022)
    try:
        answer = _work(sys.argv[1:] if arguments is None else arguments)
    except (WorkError, SwitchError, ArchiveError, DocumentError, ConfigurationError, ValueError) as error:
        answer = {"error": str(error)}
    except (OSError, shutil.Error) as error:
        answer = {"error": f"The files cannot be written or read: {error}."}
    sys.stdout.write(json.dumps(answer))
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
