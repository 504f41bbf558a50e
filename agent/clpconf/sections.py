"""Every section of clp.conf by name, and which declaration a path of the file has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from agent.clpconf import sections_cluster, sections_server, sections_services
from agent.clpconf.fences import is_secret
from agent.clpconf.schema import Param, TypeSpec
from agent.clpconf.sections_common import COMMON as _COMMON
from agent.clpconf.sections_common import by_path, final_action, with_common
from agent.clpconf.sections_server import DEVICE_IDS, DEVICES

__all__ = ["COMMON", "DEVICES", "DEVICE_IDS", "INSTANCES", "SECTIONS", "Declared", "by_path", "declared",
           "final_action", "root_names", "whole", "with_common"]  # fmt: skip

# Sections whose children are objects of a type, with a register <types name="TYPE"/>.
INSTANCES = ("resource", "monitor", "heartbeat", "networkpartition")

COMMON: Mapping[str, tuple[Param, ...]] = {
    **_COMMON,
    "server": sections_server.SERVER.params,
    "group": sections_server.GROUP.params,
}

SECTIONS: Mapping[str, TypeSpec] = {
    "root": sections_cluster.ROOT,
    "all": sections_cluster.ALL,
    "cluster": sections_cluster.CLUSTER,
    "mail": sections_services.MAIL,
    "trap": sections_services.TRAP,
    "server": sections_server.SERVER,
    "group": sections_server.GROUP,
    "webmgr": sections_services.WEBMGR,
    "pm": sections_cluster.PM,
    "haltp": sections_cluster.HALTP,
    "rc": sections_cluster.RC,
    "rm": sections_cluster.RM,
    "messages": sections_services.MESSAGES,
    "alertservice": sections_services.ALERTSERVICE,
    "webalert": sections_services.WEBALERT,
    "statsd": sections_services.STATSD,
    "openclp": sections_cluster.OPENCLP,
    "alerts": sections_services.ALERTS,
    "metrics": sections_services.METRICS,
    "fence": TypeSpec("fence", "Fence device", section="openclp/fence"),
    "rstd": sections_cluster.RSTD,
    "trekking": sections_cluster.TREKKING,
    **{f"device:{name}": spec for name, spec in DEVICES.items()},
}

_PLACES: Mapping[str, TypeSpec] = {
    spec.section: spec for name, spec in SECTIONS.items() if not name.startswith("device:")
}
_UNKNOWN: Mapping[str, TypeSpec] = {
    section: TypeSpec("", "", params=COMMON[section], section=section, ready=False) for section in INSTANCES
}
_BY_NAME = frozenset(("server", "group", "openclp/fence"))


class Declared(NamedTuple):
    """What a path of the file means. `base` is the path of its object, `path` that of the value below it."""

    spec: TypeSpec  # with the parameters that all of its kind have; of an unknown type it has no own ones
    base: str
    path: str
    param: Param | None  # None: nothing is declared there
    server: str = ""  # the value holds on this server only

    @property
    def secret(self) -> bool:
        """Never to be shown. Of what is not declared, the name tells."""
        if self.param is not None and not self.param.path.endswith("*"):
            return self.param.kind.secret
        return is_secret(self.path.rpartition("/")[2])


def whole(spec: TypeSpec) -> TypeSpec:
    """The type with the parameters that all objects of its kind have."""
    known = _WHOLE.get(id(spec))
    if known is None or known[0] is not spec:
        if len(_WHOLE) > _MOST_TYPES:
            _WHOLE.clear()
        known = _WHOLE[id(spec)] = (spec, replace(spec, params=with_common(spec)))
    return known[1]


# By identity: hashing a declaration means hashing all of its parameters. The declaration is kept, so that no other one
# can get its number.
_WHOLE: dict[int, tuple[TypeSpec, TypeSpec]] = {}
_MOST_TYPES = 1000


def declared(path: str, catalog: Mapping[str, TypeSpec]) -> Declared | None:
    """Of "/root/resource/fip@fip1/parameters/ip" and the like; None for a section that does not exist."""
    parts = path.removeprefix("/root").strip("/").split("/")
    section = parts[0]
    if not section:
        return None
    if section in INSTANCES:
        if len(parts) < 2:
            return None
        kind = parts[1].partition("@")[0]
        spec = catalog.get(kind)
        if spec is None or spec.section not in ("", section):
            return _declared(_UNKNOWN[section], parts, 2)
        return _declared(whole(spec if spec.section else replace(spec, section=section)), parts, 2)
    if section.partition("@")[0] in _BY_NAME:
        return _declared(_PLACES[section.partition("@")[0]], parts, 1)
    if section == "openclp" and len(parts) > 1 and parts[1].startswith("fence@"):
        return _declared(whole(SECTIONS["fence"]), parts, 2)
    two = "/".join(parts[:2])
    if two in _PLACES:
        return _declared(_PLACES[two], parts, 2)
    if section in _PLACES and len(parts) > 1:
        return _declared(_PLACES[section], parts, 1)
    root = SECTIONS["root"]
    return Declared(root, "/root", section, root.param(section)) if root.param(section) else None


def root_names() -> frozenset[str]:
    """The elements that may stand below the root."""
    names = {place.partition("/")[0] for place in _PLACES if place}
    return frozenset((*names, *INSTANCES, *(param.path for param in SECTIONS["root"].params)))


def _declared(spec: TypeSpec, parts: list[str], depth: int) -> Declared:
    base, below = "/root/" + "/".join(parts[:depth]), parts[depth:]
    server = ""
    if spec.section in ("resource", "monitor", "openclp/fence") and len(below) > 1 and below[0].startswith("server@"):
        server, below = below[0].partition("@")[2], below[1:]
    path = "/".join(below)
    return Declared(spec, base, path, spec.param(path), server)
