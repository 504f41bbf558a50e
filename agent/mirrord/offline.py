"""What is done to the disks of a mirror while no process serves them: the end of a backup, and of a restore. Blocking.

Whoever serves them keeps them for itself, so nothing here happens beside a process that uses them: DiskError then.
"""

from __future__ import annotations

import os
import secrets
import time

import msgspec

from agent.mirror.past import Past
from agent.mirrord import partition
from agent.mirrord.disk import DiskError, open_alone
from agent.mirrord.partition import Label, Partition
from agent.mirrord.separation import Judgement, Trace, judge, trace
from agent.mirrord.settings import Settings

_TRIES, _PAUSE_S = 40, 0.05  # a process that waits for the end of a restore looks at the partition now and then


def label_of(settings: Settings) -> Label:
    """DiskError: there is none."""
    try:
        found = partition.label_of(settings.partition)
    except OSError as error:
        raise DiskError(f"The cluster partition {settings.partition} cannot be read: {error.strerror}.") from error
    if found is None:
        raise DiskError(f"The cluster partition {settings.partition} is not made yet (clpmdinit).")
    return found


def _opened(settings: Settings) -> Partition:
    for attempt in range(_TRIES):
        try:
            return Partition.open(settings)
        except DiskError:
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE_S)
    raise AssertionError


def join(settings: Settings) -> Judgement | None:
    """The end of a backup: the next process joins. What was copied to the disk meanwhile is noticed (separation.py)."""
    opened = _opened(settings)
    try:
        past = opened.read().past
        found = None
        if opened.label.separated_at:
            found = judge(opened.label.trace, _trace(settings))
        if found == "touched":
            opened.write(opened.super(msgspec.structs.replace(past, discards=True)))
        opened.write(opened.noted(isolated=False, separated_at=0.0, trace=None, compare_due=found == "unseen"))
        return found
    finally:
        opened.close()


def _trace(settings: Settings) -> Trace:
    fd = open_alone(settings.data, "data partition")
    try:
        os.fsync(fd)
        return trace(fd, settings.boot)
    finally:
        os.close(fd)


def discard(settings: Settings) -> None:
    """This side gives up what it has: whoever it meets copies everything."""
    opened = _opened(settings)
    try:
        opened.write(opened.super(msgspec.structs.replace(opened.read().past, discards=True)))
    finally:
        opened.close()


def generation(settings: Settings) -> str:
    """As the process names them (Engine._name)."""
    which = int(settings.server > settings.peer)
    return f"{int(time.time()):08x}{which}{secrets.token_hex(6)}"


def restored(settings: Settings, name: str, *, same: bool) -> Label:
    """The end of a restore: what the data partition holds now is the truth, by the generation `name`. `same`: the other
    server's disk was restored from the same image, and has the same name."""
    opened = _opened(settings)
    try:
        label, epoch = opened.label, opened.read().past.epoch
    finally:
        opened.close()
    if not label.restoring_at:
        raise DiskError(f"No restore of {settings.mirror} was begun on {settings.server} (clprestore --pre).")
    fd = open_alone(settings.data, "data partition")
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    past = Past(current=name, peer="equal" if same else "behind", peer_at=(name,) if same else (), epoch=epoch)
    for attempt in range(_TRIES):
        try:
            return partition.create(msgspec.structs.replace(settings, size=label.size), True, past)
        except DiskError:
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE_S)
    raise AssertionError
