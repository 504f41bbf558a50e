"""What can be asked of a mirror disk: words, commands, and what each asks of which server. webmanager/words.py and
parts.py take it in with all other operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy

OPS = (
    "mirror_break", "mirror_join", "mirror_force", "mirror_verify", "mirror_repair", "mirror_verify_stop",
    "mirror_slow", "mirror_fast", "mirror_backup_begin", "mirror_backup_end", "mirror_restore_begin",
    "mirror_restore_end",
)  # fmt: skip
# Whose side is meant; of a forced recovery: whose data stay.
BACKUPS = ("mirror_backup_begin", "mirror_backup_end")
RESTORES = ("mirror_restore_begin", "mirror_restore_end")
WITH_SERVER = ("mirror_break", "mirror_join", "mirror_force", *BACKUPS, *RESTORES)
HARMLESS = frozenset(OPS) - {"mirror_break", "mirror_force", "mirror_repair", "mirror_backup_begin", *RESTORES}
# Could lose data: administrators, and the name has to be typed.
LOSING = frozenset(("mirror_force", *RESTORES))
SLOW_BYTES_S = 10 << 20
SEPARATOR = ", "  # between the names of several disks
Maker = Callable[[str, str, Mapping[str, Any]], list[list[tuple[str, str, str, str]]]]

TITLES = {
    "mirror_break": gettext_lazy("Isolate mirror %(target)s"),
    "mirror_break_on": gettext_lazy("Isolate the side of %(server)s of mirror %(target)s"),
    "mirror_join": gettext_lazy("Join mirror %(target)s again"),
    "mirror_join_on": gettext_lazy("Join the side of %(server)s of mirror %(target)s again"),
    "mirror_force": gettext_lazy("Force the recovery of mirror %(target)s"),
    "mirror_force_on": gettext_lazy("Force the recovery of mirror %(target)s from %(server)s"),
    "mirror_verify": gettext_lazy("Compare both disks of mirror %(target)s"),
    "mirror_repair": gettext_lazy("Compare both disks of mirror %(target)s and copy what differs"),
    "mirror_verify_stop": gettext_lazy("End the comparison of mirror %(target)s"),
    "mirror_slow": gettext_lazy("Slow the recovery of mirror %(target)s down"),
    "mirror_fast": gettext_lazy("Recover mirror %(target)s as fast as possible"),
    "mirror_backup_begin": gettext_lazy("Prepare a backup of mirror %(target)s"),
    "mirror_backup_begin_on": gettext_lazy("Separate the side of %(server)s of mirror %(target)s for a backup"),
    "mirror_backup_end": gettext_lazy("End the backup of mirror %(target)s"),
    "mirror_backup_end_on": gettext_lazy("End the backup of mirror %(target)s on %(server)s"),
    "mirror_restore_begin": gettext_lazy("Prepare a restore of mirror %(target)s"),
    "mirror_restore_begin_on": gettext_lazy("Prepare a restore of mirror %(target)s on %(server)s"),
    "mirror_restore_end": gettext_lazy("End the restore of mirror %(target)s"),
    "mirror_restore_end_on": gettext_lazy("Take what was restored on %(server)s as the data of mirror %(target)s"),
}
NAMES = {
    "mirror_break": gettext_lazy("Isolate one side of a mirror disk"),
    "mirror_join": gettext_lazy("Join an isolated side of a mirror disk"),
    "mirror_force": gettext_lazy("Force the recovery of a mirror disk"),
    "mirror_verify": gettext_lazy("Compare both disks of a mirror"),
    "mirror_repair": gettext_lazy("Compare both disks of a mirror and copy what differs"),
    "mirror_verify_stop": gettext_lazy("End the comparison of a mirror"),
    "mirror_slow": gettext_lazy("Slow the recovery of a mirror disk down"),
    "mirror_fast": gettext_lazy("Recover a mirror disk as fast as possible"),
    "mirror_backup_begin": gettext_lazy("Separate one side of a mirror disk for a backup"),
    "mirror_backup_end": gettext_lazy("End the backup of a mirror disk"),
    "mirror_restore_begin": gettext_lazy("Prepare the restore of a mirror disk"),
    "mirror_restore_end": gettext_lazy("End the restore of a mirror disk"),
}
EFFECTS = {
    "mirror_break": gettext_lazy(
        "The two disks of %(target)s part: what is written from now on one side only has, until it joins again. Until "
        "then nothing takes over without losing that."
    ),
    "mirror_join": gettext_lazy("The two sides of %(target)s meet again, and what differs is copied."),
    "mirror_force": gettext_lazy(
        "The data of the server that you choose stay; what only the other one has of %(target)s is lost for good."
    ),
    "mirror_verify": gettext_lazy(
        "Both disks of %(target)s are read and compared while they are used. Nothing is changed; it takes a share of "
        "both disks and of the mirror connect."
    ),
    "mirror_repair": gettext_lazy(
        "Both disks of %(target)s are read and compared while they are used; what differs is copied from the active "
        "side. What only the other disk has there is overwritten."
    ),
    "mirror_verify_stop": gettext_lazy("The comparison of %(target)s ends; what it has found so far stays known."),
    "mirror_slow": gettext_lazy("A recovery of %(target)s takes at most 10 MiB a second, so that services come first."),
    "mirror_backup_begin": gettext_lazy(
        "The file system of %(target)s is held still for a moment, the side that you choose is separated, and its copy "
        "is mounted read-only below /run/openclp/backup on that server. The group goes on, alone: until the backup is "
        "ended nothing takes over without losing what is written meanwhile."
    ),
    "mirror_backup_end": gettext_lazy(
        "The copy of %(target)s is unmounted, the side joins again, and only what differs is copied. Has anybody "
        "written to the separated disk, everything is copied."
    ),
    "mirror_restore_begin": gettext_lazy(
        "This side of %(target)s lets go of its data partition, so that a backup can be written to it. Until the "
        "restore is ended this server does not use it. Its group has to be stopped."
    ),
    "mirror_restore_end": gettext_lazy(
        "What the disk of the server that you choose holds now is the truth of %(target)s; everything is copied to the "
        "other server, and what only that one has is lost for good."
    ),
    "mirror_fast": gettext_lazy("A recovery of %(target)s takes what disks and mirror connect can give."),
}
# What one would type on a server: without and with a server beside the target.
COMMANDS = {
    "mirror_break": ("clpmdctrl -b {target}", "clpmdctrl -b {target} -h {server}"),
    "mirror_join": ("clpmdctrl -r {target}", "clpmdctrl -r {target} -h {server}"),
    "mirror_force": ("clpmdctrl -f {target}", "clpmdctrl -f {server} {target}"),
    "mirror_verify": ("clpmdctrl --verify {target}",),
    "mirror_repair": ("clpmdctrl --verify --repair {target}",),
    "mirror_verify_stop": ("clpmdctrl --verify-stop {target}",),
    "mirror_slow": ("clpmdctrl --pace 10M {target}",),
    "mirror_fast": ("clpmdctrl --pace 0 {target}",),
    "mirror_backup_begin": ("clpbackup --pre --online {target}", "clpbackup --pre --online -h {server} {target}"),
    "mirror_backup_end": ("clpbackup --post --online {target}", "clpbackup --post --online -h {server} {target}"),
    "mirror_restore_begin": ("clprestore --pre --online {target}", "clprestore --pre --online -h {server} {target}"),
    "mirror_restore_end": ("clprestore --post --online {target}", "clprestore --post --online -h {server} {target}"),
}


def _sides(target: str, status: Mapping[str, Any]) -> dict[str, Any]:
    mirror = status.get("mirrors", {}).get(target) or {"servers": {}}
    return dict(mirror["servers"])


def side_that_works(target: str, server: str, status: Mapping[str, Any]) -> str:
    """The one that copies or compares: the active one, else one that is heard; "" nobody is."""
    sides = {name: one for name, one in _sides(target, status).items() if one is not None}
    active = [name for name, one in sides.items() if one["active"] or one["relation"] in ("source", "finishing")]
    return server or next(iter([*active, *sides]), "")


def verify(target: str, server: str, status: Mapping[str, Any]) -> list[list[tuple[str, str, str, str]]]:
    return [[("mirror_verify", target, side_that_works(target, server, status), "")]]


def verify_stop(target: str, server: str, status: Mapping[str, Any]) -> list[list[tuple[str, str, str, str]]]:
    """Whoever compares: each side that is heard, since a comparison that does not run ends without harm."""
    running = [
        name for name, one in _sides(target, status).items() if one is not None and one["verify"].get("running")
    ] or [side_that_works(target, server, status)]
    return [[("mirror_verify_stop", target, name, "") for name in running]]


def pace(target: str, server: str, status: Mapping[str, Any]) -> list[list[tuple[str, str, str, str]]]:
    """Of each side that is heard: who copies may change before it is over."""
    heard = [name for name, one in _sides(target, status).items() if one is not None]
    return [[("mirror_pace", target, name, "") for name in heard]]


def each(op: str) -> Maker:
    """Several disks of one server are named with ", " between them."""

    def made(target: str, server: str, status: Mapping[str, Any]) -> list[list[tuple[str, str, str, str]]]:
        return [[(op, name, server, "") for name in target.split(SEPARATOR)]]

    return made
