"""The record of a change of the configuration, STATE/switch.json: what this server tries, confirmed or returned from.

Rules of this file
- The order, each step durable before the next begins: the version before is copied (files.keep), the record says what
  shall be, the files are exchanged (one renaming that can only be completed), clpd has read them: `done`. Wherever the
  power goes off or a process is killed, the next reader of clp.conf (`settle`, called by clpd's reader before it reads)
  finishes what the record says; every step may be repeated.
- So a record that was never written means that nothing has happened, and one that was written happens. Only when the
  renaming itself was refused is the record before put back.
- What is tried belongs to one start of clpd (its incarnation). Another start returns to the version before, whatever
  happened: a server that could not live with a configuration must not come up with it again.
- A daemon that finds a record which is not `done` has begun too early: it ends with EXIT_SWITCH, so that clpd settles
  first, and gives its children what has changed for them.
- After a return, what was tried is stored again: the others may have confirmed it.

The awkward case: the daemon dies while its worker exchanges the files. The worker dies with it, and until it is gone it
holds a lock that the next daemon waits for before it reads the record.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from agent.daemon import configuration_files as files
from agent.daemon.paths import RESTART_CAUSE, Paths
from agent.drivers.files import read_limited, write_atomic
from agent.wire.switch import Stored, Switch, config_id

if TYPE_CHECKING:
    from agent.daemon.journal import Journal

RECORD = "switch.json"
_STORED = "stored.json"
_LOCK = "switch.lock"
_LIMIT_BYTES = 1 << 20
_CONF_BYTES = 16 << 20
_LOCK_S = 20.0
_LOOK_S = 0.01
_RETURNED = 43  # of agent.messages.daemon
NOT_CONFIRMED = "clpd was started anew before the configuration was confirmed"


class SwitchError(Exception):
    """What cannot be done, or read; the sentence says what to do."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    switch: Switch
    incarnation: int  # of the start of clpd that began it
    kept: str = ""  # the version before, below STATE/configurations
    done: bool = False  # the files are as `switch` says, and clpd has read them
    by_start: bool = False  # this start of clpd has returned, not a daemon


def tell_return(journal: Journal, cluster: str, me: str, record: Record | None) -> None:
    """This start of clpd has gone back to the configuration before."""
    if record is not None and record.by_start and not os.environ.get(RESTART_CAUSE):
        switch = record.switch
        journal.write(_RETURNED, "cluster", cluster, me, switch.to, switch.origin, switch.reason)


def read_record(places: Paths) -> Record | None:
    """None while nothing was ever tried here. SwitchError when it is damaged."""
    path = Path(places.state) / RECORD
    try:
        data = read_limited(path, _LIMIT_BYTES)
        return None if data is None else msgspec.json.decode(data, type=Record)
    except ValueError as error:
        raise SwitchError(
            f"{path} is damaged ({error}): nobody knows whether {places.config} was confirmed. Compare it with the "
            f"other servers (clpcfctrl --pull, --diff), then delete {path}."
        ) from None


def write_record(places: Paths, record: Record) -> None:
    write_atomic(Path(places.state) / RECORD, msgspec.json.encode(record), durable=True)


def keep(places: Paths, switch: Switch, incarnation: int) -> None:
    """It is confirmed: a later start goes on with it. Durable once this returns."""
    kept = ""
    with contextlib.suppress(SwitchError):  # What is written now replaces it.
        record = read_record(places)
        kept = record.kept if record is not None and record.switch.id == switch.id else ""
    write_record(places, Record(switch=switch, incarnation=incarnation, kept=kept, done=True))


def overridden(places: Paths) -> None:
    """With the service stopped, another configuration is put in force: what was tried is history."""
    record = read_record(places)
    if record is not None and (record.switch.state == "trying" or not record.done):
        switch = replace(record.switch, state="returned", reason="another configuration was delivered")
        write_record(places, replace(record, switch=switch, done=True))


@contextlib.contextmanager
def alone(places: Paths) -> Iterator[None]:
    """One at a time reads the record and exchanges the files."""
    with open(files.folder(places) / _LOCK, "a", encoding="ascii") as lock:
        end = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    text = f"Another process has been exchanging the configuration for {_LOCK_S:g} s; is a disk hung?"
                    raise SwitchError(text) from None
                time.sleep(_LOOK_S)
        yield


# What was delivered, and not tried yet --------------------------------------------------------------------------------


def write_stored(places: Paths, found: Stored) -> None:
    write_atomic(files.folder(places) / _STORED, msgspec.json.encode(found), durable=True)


def read_stored(places: Paths) -> Stored | None:
    """What this server could switch to: its files are there, and were checked here."""
    try:
        data = read_limited(files.folder(places) / _STORED, _LIMIT_BYTES)
        found = None if data is None else msgspec.json.decode(data, type=Stored)
    except (OSError, ValueError):
        return None  # It is stored again when it is needed.
    return found if found is not None and files.stored(places, found.key).is_dir() else None


# There and back -------------------------------------------------------------------------------------------------------


def go(places: Paths, switch: Switch, incarnation: int, ran: bytes) -> None:
    """To what is stored under the switch's key; `ran` is the clp.conf that runs. SwitchError, OSError: nothing has
    changed, or the record says what is to be finished."""
    fresh = files.stored(places, switch.key)
    if not fresh.is_dir() or config_id(_read(fresh / files.CONF)) != switch.to:
        raise SwitchError("The configuration is not stored here: push it again.")
    earlier = read_record(places)
    kept = files.keep(places, ran)
    record = Record(switch=switch, incarnation=incarnation, kept=kept.name if kept else "")
    _version(places, record)
    write_record(places, record)
    try:
        files.switch(places, switch.key)
    except OSError:
        if fresh.is_dir():
            _put_back(places, earlier)
        raise


def go_back(places: Paths, switch: Switch, incarnation: int) -> None:
    """To the version before this very switch."""
    record = _record_of(places, switch)
    _version(places, record)
    record = replace(record, switch=switch, incarnation=incarnation, done=False)
    write_record(places, record)
    _exchange_back(places, record)


def before(places: Paths, switch: Switch) -> bytes:
    """The clp.conf that ran before this very switch."""
    return _version(places, _record_of(places, switch))[1]


def settle(places: Paths, incarnation: int) -> None:
    """Before clpd reads clp.conf: what was begun is finished, and what is not confirmed ends with its start of clpd.
    SwitchError: this server must not start with the files as they are."""
    with alone(places):
        files.finish(places)
        record = read_record(places)
        if record is None:
            return
        if record.switch.state == "trying" and record.incarnation != incarnation:
            untouched = not record.done and files.stored(places, record.switch.key).is_dir()
            switch = replace(record.switch, state="returned", reason=NOT_CONFIRMED)
            record = replace(record, switch=switch, incarnation=incarnation, done=untouched, by_start=True)
            write_record(places, record)
        if record.done:
            return
        if record.switch.state == "returned":
            _exchange_back(places, record)
        elif files.stored(places, record.switch.key).is_dir():
            files.switch(places, record.switch.key)
        write_record(places, replace(record, done=True))


def _exchange_back(places: Paths, record: Record) -> None:
    version, conf = _version(places, record)
    with contextlib.suppress(OSError, shutil.Error):  # Without it, it is pushed again.
        _store_again(places, record)
    key = f"back-{record.kept}"
    files.store_copy(places, key, conf, version / files.SCRIPTS)
    files.switch(places, key)


def _record_of(places: Paths, switch: Switch) -> Record:
    record = read_record(places)
    if record is None or record.switch.id != switch.id:
        raise SwitchError("This server does not remember what it ran before.")
    return record


def _version(places: Paths, record: Record) -> tuple[Path, bytes]:
    """The one before, and the clp.conf that ran: not always what stood in the file, which anybody may edit."""
    version = files.folder(places) / (record.kept or "none")
    for name in (files.CONF, files.RAN):
        with contextlib.suppress(FileNotFoundError):
            conf = _read(version / name)
            if config_id(conf) == record.switch.origin:
                return version, conf
    raise SwitchError(
        f"{version} does not hold the configuration that was in force before {record.switch.to}. Put the right one "
        f"into {places.etc}, then delete {Path(places.state) / RECORD}."
    )


def _store_again(places: Paths, record: Record) -> None:
    """What is in force now, before it is replaced."""
    conf = _read(Path(places.config))
    if config_id(conf) not in (record.switch.to, record.switch.origin):
        files.keep(places, spare=record.kept)  # Edited meanwhile: nothing is lost.
    elif config_id(conf) == record.switch.to and not files.stored(places, record.switch.key).is_dir():
        files.store_copy(places, record.switch.key, conf, Path(places.scripts))


def _put_back(places: Paths, earlier: Record | None) -> None:
    if earlier is not None:
        write_record(places, earlier)
    else:
        (Path(places.state) / RECORD).unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    """FileNotFoundError when there is none."""
    data = read_limited(path, _CONF_BYTES)
    if data is None:
        raise FileNotFoundError(f"{path} is missing")
    return data
