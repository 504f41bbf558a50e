"""The configuration as text: `clpstat -i` and the tables of single objects, read from this server's clp.conf."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from agent import catalog
from agent.cli import client, options
from agent.cli.table import frame, parameter
from agent.clpconf import load, model
from agent.clpconf.schema import Param
from agent.wire.status import HEARTBEAT_COMMENTS

_MAX_FILE_BYTES = 16 << 20
_HIDDEN = "********"
_SECRET_WORDS = ("password", "passwd", "community", "secret")

Row = tuple[str, object]
Rows = Iterator[Row]


def show(wanted: tuple[str, str], *, detail: bool, as_json: bool) -> int:
    """`wanted` is ("all", ""), ("cluster", "") or a kind and the name of one object."""
    cluster = _read()
    sections = list(_sections(cluster, *wanted, detail=detail))
    if not sections:
        kind, name = wanted
        known = options.names([thing.name for thing in _things(cluster, kind)])
        raise client.CommandError(client.REFUSED, f"There is no {kind} {name} in the configuration. Known: {known}.")
    if as_json:
        print(options.json_text(_without_secrets(msgspec.to_builtins(cluster), {})))
    else:
        print(frame("CLUSTER INFORMATION", [line for section in sections for line in section]))
    return client.OK


def _read() -> model.Cluster:
    path = client.config_directory() / "clp.conf"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror}. Check OPENCLP_ETC."
        raise client.CommandError(client.REFUSED, text) from None
    loaded = load.load(data, catalog.specs())
    if loaded.cluster is None:
        errors = "\n".join(str(finding) for finding in loaded.findings if finding.severity == "error")
        raise client.CommandError(client.REFUSED, f"{path} has errors:\n{errors}")
    return loaded.cluster


def _sections(cluster: model.Cluster, kind: str, name: str, *, detail: bool) -> Iterator[list[str]]:
    if kind in ("all", "cluster"):
        yield _section("Cluster", cluster.name, _cluster(cluster))
    for word, title, rows in _KINDS:
        for index, thing in enumerate(_things(cluster, word)):
            if kind == "all" or (kind == word and thing.name == name):
                indent = 6 if word == "monitor" else 4
                yield _section(f"{title}{index}", thing.name, rows(cluster, thing, detail), indent)


def _section(title: str, name: str, rows: Iterable[Row], indent: int = 4) -> list[str]:
    return [f"  [{title} : {name}]", *(parameter(label, _text(value), indent) for label, value in rows)]


def _things(cluster: model.Cluster, kind: str) -> tuple[Any, ...]:
    found: dict[str, tuple[Any, ...]] = {
        "server": cluster.servers,
        "heartbeat": cluster.heartbeats + cluster.resolvers,
        "group": cluster.groups,
        "resource": tuple(sorted(cluster.resources, key=lambda r: r.name)),
        "monitor": tuple(sorted(cluster.monitors, key=lambda m: m.name)),
    }
    return found.get(kind, ())


def _cluster(cluster: model.Cluster) -> Rows:
    yield "Comment", cluster.comment
    yield "Heartbeat Interval", f"{cluster.interval_s:g} s"
    yield "Heartbeat Timeout", f"{cluster.timeout_s:g} s"
    yield "Startup Wait", f"{cluster.startup_wait_s:g} s"
    yield "Grace Time of the Daemon", f"{cluster.grace_s:g} s"
    yield "Majority Resolution", cluster.majority
    yield "Self Fencing", cluster.self_fencing
    yield "Encoding", cluster.language


def _server(cluster: model.Cluster, server: model.Server, detail: bool) -> Rows:
    yield "Comment", server.comment
    yield "Priority", server.priority
    for device in server.devices:
        yield f"Device {device.id} ({device.type})", device.info


def _heartbeat(cluster: model.Cluster, thing: model.Heartbeat | model.PartitionResolver, detail: bool) -> Rows:
    yield "Type", thing.type
    yield "Comment", HEARTBEAT_COMMENTS.get(thing.type, "")
    if detail:
        yield "Priority", thing.priority
        yield "Device", thing.device
        yield from _values(thing.type, thing.values)


def _group(cluster: model.Cluster, group: model.Group, detail: bool) -> Rows:
    yield "Type", group.type
    yield "Comment", group.comment
    yield "Failover Policy", group.policy
    yield "Startup Attribute", "Auto Startup" if group.autostart else "Manual Startup"
    yield "Failover Attribute", "Auto Failover" if group.auto_failover else "Manual Failover"
    yield "Failback Attribute", "Auto Failback" if group.auto_failback else "Manual Failback"
    yield "Resources", tuple(sorted(group.resources))
    if detail:
        yield "Start After", group.start_after
        yield "Stop After", group.stop_after


def _resource(cluster: model.Cluster, resource: model.Resource, detail: bool) -> Rows:
    group = cluster.group_of(resource.name)
    yield "Type", resource.type
    yield "Comment", resource.comment
    yield "Group", group.name if group else ""
    yield "Depends On", "default" if resource.depends is None else resource.depends
    for word, step in (("Activation", resource.activation), ("Deactivation", resource.deactivation)):
        yield f"{word} Timeout", f"{step.timeout_s:g} s"
        yield f"{word} Retry Count", step.retry
        if detail:
            yield f"{word} Final Action", step.action
    yield "Failover Count at Activation Failure", resource.activation.failover
    yield from _values(resource.type, resource.values, detail=detail)
    for server, values in resource.overrides.items():
        yield from ((f"{server}: {label}", value) for label, value in _values(resource.type, values))


def _monitor(cluster: model.Cluster, monitor: model.Monitor, detail: bool) -> Rows:
    yield "Type", monitor.type
    yield "Comment", monitor.comment
    yield "Target", monitor.target
    yield "Monitor Timing", monitor.timing
    yield "Interval", f"{monitor.interval_s:g} s"
    yield "Timeout", f"{monitor.timeout_s:g} s"
    yield "Retry Count", monitor.retries
    yield "Recovery Target", monitor.recovery_name
    yield "Reactivation Threshold", monitor.restart_threshold
    yield "Failover Threshold", monitor.failover_threshold
    yield "Final Action", monitor.action
    if detail:
        yield "Wait Before the First", f"{monitor.first_wait_s:g} s"
        yield "Servers", monitor.servers or "all"
    yield from _values(monitor.type, monitor.values, detail=detail)


def _values(type_name: str, values: Mapping[str, str], *, detail: bool = False) -> Rows:
    """What the file states, by the labels of the type; with `detail` also what it leaves to its default."""
    params = _params(type_name)
    for path, value in values.items():
        param = params.get(_pattern(path))
        yield param.label if param else path, _HIDDEN if _is_secret(path, param) else value
    for path, param in params.items() if detail else ():
        if param.default is not None and path not in values and "*" not in path:
            yield f"{param.label} (default)", _HIDDEN if _is_secret(path, param) else param.default


def _params(type_name: str) -> dict[str, Param]:
    spec = catalog.specs().get(type_name)
    return {param.path: param for param in spec.params} if spec else {}


def _pattern(path: str) -> str:
    """Of an entry of a list, the path under which its type declares it."""
    return re.sub(r"@[0-9]+", "@*", path)


def _is_secret(path: str, param: Param | None) -> bool:
    return (param is not None and param.kind.secret) or any(word in path.lower() for word in _SECRET_WORDS)


def _without_secrets(thing: Any, params: Mapping[str, Param]) -> Any:
    if isinstance(thing, list | tuple):
        return [_without_secrets(one, params) for one in thing]
    if not isinstance(thing, dict):
        return thing
    inner = _params(thing["type"]) if "values" in thing else params
    return {
        key: _HIDDEN
        if isinstance(value, str) and _is_secret(key, inner.get(_pattern(key)))
        else _without_secrets(value, inner)
        for key, value in thing.items()
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "On" if value else "Off"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


_KINDS: tuple[tuple[str, str, Callable[[model.Cluster, Any, bool], Rows]], ...] = (
    ("server", "Server", _server),
    ("heartbeat", "HB", _heartbeat),
    ("group", "Group", _group),
    ("resource", "Resource", _resource),
    ("monitor", "Monitor", _monitor),
)
