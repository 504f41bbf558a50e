"""Failover groups and group resources of clp.conf, with their rules."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from typing import Any

from agent.clpconf.element import Element
from agent.clpconf.entry import Entry, placed
from agent.clpconf.findings import Finding
from agent.clpconf.model import Activation, Group, Resource
from agent.clpconf.schema import TypeSpec
from agent.clpconf.sections_common import COMMON, by_path, common_default
from agent.clpconf.sections_server import GROUP

RESOURCE_APART = frozenset(("depend", "server"))
_GROUP_APART = frozenset(("resource", "policy", "depend"))
_RESOURCE = by_path(COMMON["resource"])
_GROUP = by_path(GROUP.params)
_ACTIVATION, _DEACTIVATION = "depend/act/", "depend/deact/"


def read_resource(entry: Entry, spec: TypeSpec | None) -> Resource:
    """`entry` without what RESOURCE_APART names."""

    def get(path: str) -> Any:
        return entry.read(path, _RESOURCE[path].kind, common_default(path, spec))

    resource = Resource(
        name=entry.name,
        type=entry.element.name,
        comment=entry.text("comment"),
        activation=Activation(
            timeout_s=get("act/timeout"),
            retry=get("act/retry"),
            failover=get("act/fo"),
            action=get("act/action"),
        ),
        deactivation=Activation(
            timeout_s=get("deact/timeout"),
            retry=get("deact/retry"),
            action=get("deact/action"),
        ),
        depends=_depends(entry),
        values=entry.values(_RESOURCE),
        overrides=read_overrides(entry),
    )
    if resource.deactivation.action in (0, 1):
        entry.find("resource.final_action", "warning",
                   "When its deactivation fails, nothing follows: the group may come to run on two servers.",
                   "Use final action 4 or 5 in production.", "deact/action")  # fmt: skip
    return resource


def _depends(entry: Entry) -> tuple[str, ...] | None:
    """No <depend>: the type's default; only <depend name="">: none; else the names."""
    elements = entry.element.named("depend")
    names = []
    for element in elements:
        name = element.attributes.get("name")
        if name is None:
            finding = Finding("depend.name", "error", element.path, "<depend> has no name= attribute.",
                              'Write <depend name="RESOURCE"/>, or name="" for none.')  # fmt: skip
            entry.findings.append(placed(finding, element))
        elif name.strip():
            names.append(name.strip())
    return tuple(dict.fromkeys(names)) if elements else None


def read_overrides(entry: Entry) -> dict[str, dict[str, str]]:
    """Values that differ on one server: <server name="S"><parameters>...</parameters></server>."""
    overrides: dict[str, dict[str, str]] = {}
    for element in entry.element.named("server"):
        values = Entry(element, entry.findings).values(frozenset())
        overrides.setdefault(element.attributes.get("name", ""), {}).update(values)
    return overrides


def read_group(element: Element, findings: list[Finding], servers: tuple[str, ...]) -> tuple[Group, Entry]:
    """`servers` in the order of their priority: the policy of a group that states none."""
    entry = Entry(element, findings, _GROUP_APART)
    depend = element.child("depend")
    group = Group(
        name=entry.name,
        gid=entry.get(_GROUP["gid"]),
        type=entry.text("type") or _GROUP["type"].default_text,
        comment=entry.text("comment"),
        resources=tuple(dict.fromkeys(_linked(child) for child in element.named("resource"))),
        policy=_policy(entry, servers),
        autostart=entry.get(_GROUP["start"]) == "1",
        auto_failover=entry.get(_GROUP["failover"]) == "1",
        auto_failback=entry.get(_GROUP["failback"]) == "1",
        exclusive=int(entry.get(_GROUP["exclusive"])),
        **_order(depend, findings),
    )
    if not group.resources:
        entry.find(
            "group.empty", "warning", f"Group {group.name} has no resource.", 'Add <resource name="TYPE@NAME"/>.'
        )
    return group, entry


def _linked(element: Element) -> str:
    """<resource name="fip@fip1"/> -> fip1."""
    name = element.attributes.get("name", "").strip()
    return name.partition("@")[2] or name


def _policy(entry: Entry, servers: tuple[str, ...]) -> tuple[str, ...]:
    order: dict[str, int] = {}
    for element in entry.element.named("policy"):
        part = Entry(element, entry.findings)
        if part.name not in servers:
            part.find("policy.server", "error", f'The policy names a server "{part.name}" that does not exist.',
                      f"Name one of {', '.join(servers) or 'the servers'}.")  # fmt: skip
        elif part.name in order:
            part.find("policy.duplicate", "warning", f"Server {part.name} stands twice in the policy.", "Remove one.")
        else:
            order[part.name] = part.read("order", _GROUP["policy@*/order"].kind, len(servers))
    return tuple(sorted(order, key=lambda name: (order[name], servers.index(name)))) or servers


def _order(depend: Element | None, findings: list[Finding]) -> dict[str, Any]:
    """Fields of Group: what it waits for when it starts, and when it stops."""
    up = depend.child("act") if depend is not None else None
    down = depend.child("deact") if depend is not None else None
    order: dict[str, Any] = {}
    if up is not None:
        parts = [Entry(element, findings) for element in up.named("depend")]
        same = [part.name.strip() for part in parts if _read(part, _ACTIVATION + "depend@*/", "sameserver")]
        wait_s = _read(Entry(up, findings, frozenset(("depend",))), _ACTIVATION, "timeout")
        order = {"start_after": _names(up), "start_same_server": tuple(dict.fromkeys(same)), "start_wait_s": wait_s}
    if down is not None:
        entry = Entry(down, findings, frozenset(("depend",)))
        order |= {
            "stop_after": _names(down),
            "stop_wait_s": _read(entry, _DEACTIVATION, "timeout"),
            "stop_order_cluster": _read(entry, _DEACTIVATION, "cluster/use"),
            "stop_order_server": _read(entry, _DEACTIVATION, "server/use"),
            "stop_order_other": _read(entry, _DEACTIVATION, "other/use"),
        }
    return order


def _read(part: Entry, above: str, path: str) -> Any:
    """A parameter of the group, of a part that was taken by itself."""
    param = _GROUP[above + path]
    return part.read(path, param.kind, param.default)


def _names(part: Element) -> tuple[str, ...]:
    names = [element.attributes.get("name", "").strip() for element in part.named("depend")]
    return tuple(name for name in dict.fromkeys(names) if name)


def check_groups(groups: list[tuple[Group, Entry]], resources: Mapping[str, Entry]) -> None:
    """References between groups and to resources; `resources` by name."""
    owner: dict[str, str] = {}
    names = frozenset(group.name for group, _ in groups)
    gids: dict[str, str] = {}
    for group, entry in groups:
        _check_links(group, entry, resources, owner)
        for other in dict.fromkeys(group.start_after + group.stop_after):
            if other not in names:
                text = f'Group {group.name} waits for a group "{other}" that does not exist.'
                entry.find("group.depend", "error", text, "Name an existing group, or remove the entry.")
        other = gids.setdefault(entry.text("gid"), group.name)
        if entry.text("gid") and other != group.name:
            entry.find("group.gid", "warning", f"Group {other} has the same gid.", "Give each its own.", "gid")
    for name, entry in resources.items():
        if name not in owner:
            entry.find("resource.unused", "warning", f"Resource {name} belongs to no group and is never activated.",
                       "Add it to a group, or remove it.")  # fmt: skip
    entries = {group.name: entry for group, entry in groups}
    for what in ("start_after", "stop_after"):
        graph = {group.name: [n for n in getattr(group, what) if n in names] for group, _ in groups}
        check_cycle(graph, entries, "group.cycle", "These groups wait for each other")


def _check_links(group: Group, entry: Entry, resources: Mapping[str, Entry], owner: dict[str, str]) -> None:
    for element in entry.element.named("resource"):
        link, part = element.attributes.get("name", ""), Entry(element, entry.findings)
        kind, _, name = link.partition("@")
        known = resources.get(name)
        if known is None or known.element.name != kind:
            text = f'Group {group.name} has a resource "{link}" that is not defined.'
            if known is not None:
                text = f'Group {group.name} has a resource "{link}", but {name} is of type {known.element.name}.'
            remedy = "Write TYPE@NAME of a resource below <resource>, or define it there."
            part.find("group.resource", "error", text, remedy)
        elif owner.setdefault(name, group.name) != group.name:
            text = f"Resource {name} belongs to group {owner[name]} already."
            part.find("group.resource", "error", text, "Leave it in one group only.")


def check_depends(
    group: Group, resources: Mapping[str, Resource], entries: Mapping[str, Entry], catalog: Mapping[str, TypeSpec]
) -> None:
    """Dependencies between the resources of one group, those by default of their types included."""
    members = [resources[name] for name in group.resources if name in resources]
    graph: dict[str, list[str]] = {}
    for resource in members:
        if resource.depends is None:
            spec = catalog.get(resource.type)
            follows = spec.depends_on if spec else ()
            graph[resource.name] = [r.name for r in members if r.type in follows and r is not resource]
        else:
            graph[resource.name] = [name for name in resource.depends if name in group.resources]
    check_cycle(graph, entries, "depend.cycle", f"In group {group.name} these resources depend on each other")


def check_depend_names(
    resources: Iterable[Resource], group_of: Mapping[str, str], entry_of: Mapping[str, Entry]
) -> None:
    """What a resource depends on exists, in the same group."""
    for resource in resources:
        entry = entry_of[resource.name]
        for name in resource.depends or ():
            if name not in entry_of:
                entry.find("depend.unknown", "error", f'{resource.name} depends on "{name}", which does not exist.',
                           "Name a resource of the same group, or remove the dependency.")  # fmt: skip
            elif group_of.get(name) != group_of.get(resource.name):
                entry.find("depend.group", "error", f"{resource.name} depends on {name}, which is in another group.",
                           "Name a resource of the same group.")  # fmt: skip


def check_cycle(graph: Mapping[str, Iterable[str]], entries: Mapping[str, Entry], code: str, what: str) -> None:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        entries[circle[0]].find(code, "error", f"{what}: {' - '.join(circle)}.", "Remove one of the dependencies.")
