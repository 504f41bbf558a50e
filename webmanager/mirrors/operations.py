"""What can be asked of a mirror disk: words, commands, and what each asks of which server. webmanager/words.py and
parts.py take it in with all other operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

OPS = (
    "mirror_break", "mirror_join", "mirror_force", "mirror_verify", "mirror_repair", "mirror_verify_stop",
    "mirror_slow", "mirror_fast",
)  # fmt: skip
# Whose side is meant; of a forced recovery: whose data stay.
WITH_SERVER = ("mirror_break", "mirror_join", "mirror_force")
HARMLESS = frozenset(OPS) - {"mirror_break", "mirror_force", "mirror_repair"}
LOSING = frozenset(("mirror_force",))  # could lose data: administrators, and the name has to be typed
SLOW_BYTES_S = 10 << 20

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
