"""How one object is configured, in the words of the forms: (label, value) without its secrets, which the model lacks.

Also what hangs together: what an object depends on, and what depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from agent.clpconf import model
from agent.clpconf.schema import Param, TypeSpec, pattern_of
from agent.clpconf.sections_common import COMMON, by_path
from agent.clpconf.sections_server import GROUP

_GROUP = by_path(GROUP.params)


class Value(NamedTuple):
    label: str
    text: str
    path: str = ""
    server: str = ""  # it holds on this server only


class Link(NamedTuple):
    kind: str  # name of the page: "server", "group", "resource", "monitor", "heartbeat"
    name: str
    why: str = ""


def of_monitor(monitor: model.Monitor) -> list[Value]:
    step = monitor.preaction
    common: dict[str, object] = {
        "target": monitor.target,
        "polling/timing": "1" if monitor.timing == "active" else "0",
        "polling/interval": monitor.interval_s,
        "polling/timeout": monitor.timeout_s,
        "polling/reconfirmation": monitor.retries,
        "firstmonwait": monitor.first_wait_s,
        "polling/servers@*/name": ", ".join(monitor.servers),
        "relation/type": monitor.recovery_type,
        "relation/name": monitor.recovery_name,
        "emergency/threshold/restart": monitor.restart_threshold if monitor.recovery_type in ("rsc", "grp") else "",
        "emergency/threshold/fo": monitor.failover_threshold if monitor.recovery_type in ("rsc", "grp") else "",
        "emergency/action": monitor.action,
        "emergency/timeout/notreconfirmation/use": "" if monitor.retry_timeout else "1",
        "emergency/timeout/notrecovery/use": "" if monitor.recover_timeout else "1",
        "openclp/observe": "1" if monitor.observe else "",
        "emergency/preaction/path": step.path if step else "",
        "emergency/preaction/timeout": step.timeout_s if step else "",
    }
    return [*_common("monitor", common), *_own(monitor.type, monitor.values, monitor.overrides)]


def of_resource(resource: model.Resource) -> list[Value]:
    up, down = resource.activation, resource.deactivation
    common: dict[str, object] = {
        "act/timeout": up.timeout_s, "act/retry": up.retry, "act/fo": up.failover, "act/action": up.action,
        "deact/timeout": down.timeout_s, "deact/retry": down.retry, "deact/action": down.action,
    }  # fmt: skip
    return [*_common("resource", common), *_own(resource.type, resource.values, resource.overrides)]


def of_group(group: model.Group) -> list[Value]:
    common: dict[str, object] = {
        "type": group.type,
        "start": "1" if group.autostart else "0",
        "failover": "1" if group.auto_failover else "0",
        "failback": "1" if group.auto_failback else "0",
        "exclusive": group.exclusive,
        "policy@*": " → ".join(group.policy),
        "depend/act/depend@*": ", ".join(group.start_after),
        "depend/act/timeout": group.start_wait_s if group.start_after else "",
        "depend/deact/depend@*": ", ".join(group.stop_after),
        "depend/deact/timeout": group.stop_wait_s if group.stop_after else "",
    }
    return list(_labelled(_GROUP, common))


def of_server(server: model.Server) -> list[Value]:
    devices = [Value(f"{device.type} {device.id}", device.info) for device in server.devices]
    return [Value(_("Priority"), str(server.priority)), *devices]


def of_heartbeat(cluster: model.Cluster, heartbeat: model.Heartbeat) -> list[Value]:
    common = {"priority": heartbeat.priority}
    devices = [
        Value(server.name, device.info)
        for server in cluster.servers
        if (device := server.device(heartbeat.device)) is not None
    ]
    timing = [
        Value(_("Heartbeat interval"), _seconds(cluster.interval_s)),
        Value(_("Heartbeat timeout"), _seconds(cluster.timeout_s)),
    ]
    return [*_common("heartbeat", common), *timing, *_own(heartbeat.type, heartbeat.values, {}), *devices]


def _common(section: str, values: Mapping[str, object]) -> Iterator[Value]:
    return _labelled(by_path(COMMON[section]), values)


def _labelled(params: Mapping[str, Param], values: Mapping[str, object]) -> Iterator[Value]:
    for path, value in values.items():
        if value not in ("", None):
            param = params[path]
            text = f"{value:g}" if isinstance(value, int | float) else str(value)
            yield Value(_(param.label), shown(param, text), path)


def _own(type_: str, values: Mapping[str, str], overrides: Mapping[str, Mapping[str, str]]) -> list[Value]:
    """What its type has, as the file states it; then what differs on single servers."""
    from agent import catalog  # Imported late, as in webmanager/configs.py.

    spec = catalog.specs().get(type_)
    found = [_value(spec, path, text) for path, text in values.items()]
    return found + [
        _value(spec, path, text, server) for server, own in sorted(overrides.items()) for path, text in own.items()
    ]


def _value(spec: TypeSpec | None, path: str, text: str, server: str = "") -> Value:
    param = spec.param(path) if spec is not None else None
    if param is None:
        return Value(path, text, path, server)
    number = path.partition("@")[2].partition("/")[0] if pattern_of(path) != path else ""
    label = f"{_(param.label)} {number}".strip()
    return Value(label, shown(param, text), path, server)


def shown(param: Param, text: str) -> str:
    """As the form shows it: the words of a choice, the unit."""
    if choice := dict(param.kind.choices).get(text):
        return _(choice)
    return f"{text} {param.unit}".strip()


def _seconds(value: float) -> str:
    return f"{value:g} s"


# What hangs together.


def needs_of_resource(cluster: model.Cluster, name: str) -> tuple[list[Link], list[Link]]:
    """(what it depends on, what depends on it)"""
    group = cluster.group_of(name)
    if group is None:
        return [], _watchers(cluster, name)
    on = depends(cluster, group)
    needs = [Link("resource", other) for other in group.resources if other in on[name]]
    needed = [Link("resource", other) for other in group.resources if name in on[other]]
    return [Link("group", group.name, _("belongs to it")), *needs], [*needed, *_watchers(cluster, name)]


def depends(cluster: model.Cluster, group: model.Group) -> dict[str, set[str]]:
    """Resource -> those of its group that start before it: as stated, else by its type."""
    from agent import catalog

    resources = [cluster.resource(name) for name in group.resources]
    found: dict[str, set[str]] = {}
    for one in resources:
        if one.depends is not None:
            found[one.name] = set(one.depends) & set(group.resources)
            continue
        spec = catalog.specs().get(one.type)
        types = spec.depends_on if spec is not None else ()
        found[one.name] = {other.name for other in resources if other.type in types and other is not one}
    return found


def _watchers(cluster: model.Cluster, target: str) -> list[Link]:
    return [Link("monitor", one.name, _("watches it")) for one in cluster.monitors if one.target == target] + [
        Link("monitor", one.name, _("recovers it"))
        for one in cluster.monitors
        if one.recovery_name == target and one.recovery_type in ("rsc", "grp") and one.target != target
    ]


def needs_of_monitor(cluster: model.Cluster, monitor: model.Monitor) -> list[Link]:
    found = []
    if monitor.target:
        found.append(Link("resource", monitor.target, _("it is watched")))
        if group := cluster.group_of(monitor.target):
            found.append(Link("group", group.name, _("its group")))
    if monitor.recovery_type == "rsc" and monitor.recovery_name != monitor.target:
        found.append(Link("resource", monitor.recovery_name, _("it is recovered")))
    if monitor.recovery_type == "grp" and Link("group", monitor.recovery_name, _("its group")) not in found:
        found.append(Link("group", monitor.recovery_name, _("it is recovered")))
    return found


def needs_of_group(cluster: model.Cluster, group: model.Group) -> tuple[list[Link], list[Link]]:
    needs = [Link("group", name, _("starts after it")) for name in group.start_after]
    needs += [Link("group", name, _("stops after it")) for name in group.stop_after]
    needed = [Link("group", one.name, _("starts after it")) for one in cluster.groups if group.name in one.start_after]
    needed += [Link("group", one.name, _("stops after it")) for one in cluster.groups if group.name in one.stop_after]
    targets = {group.name, *group.resources}
    watching = [one for one in cluster.monitors if one.target in targets]
    return needs, [*needed, *(Link("monitor", one.name, _("watches it")) for one in watching)]


def builder_path(kind: str, type_: str, name: str) -> str:
    """Where the object stands in clp.conf."""
    if kind in ("server", "group"):
        return f"/root/{kind}@{name}"
    return f"/root/{kind}/{type_}@{name}"


def find(things: Iterable[Any], name: str) -> Any:
    """The one of that name, None when the configuration that is known has none."""
    return next((thing for thing in things if thing.name == name), None)
