"""Rules for failover groups: their servers, their numbers, and contradictions between what several of them ask for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

from agent.clpconf.findings import Finding
from agent.clpconf.model import Group
from agent.clpconf.rules.subject import Rule, Subject, finding

_ABSOLUTE = 2
_TYPES = ("failover", "cluster", "virtualmachine")


def group_ids(subject: Subject) -> Iterator[Finding]:
    """Old tools wrote none; the original's later ones want them, 0 to n - 1."""
    for group in subject.cluster.groups:
        element = subject.element("group", group.name)
        if element is not None and not (element.child("gid") or element).value.strip():
            yield finding(
                "group.gid", "note", subject.at("group", group.name), "Group {name} has no gid.",
                "Give each group its own number, from 0; saving it in the Builder does so.", name=group.name,
            )  # fmt: skip


def group_types(subject: Subject) -> Iterator[Finding]:
    for group in subject.cluster.groups:
        if group.type not in _TYPES:
            yield finding(
                "group.type", "warning", subject.at("group", group.name, "type"),
                'Group {name} has the unknown type "{type}"; it is treated as a failover group.',
                "Write one of {types}.", name=group.name, type=group.type[:60], types=", ".join(_TYPES),
            )  # fmt: skip


def group_policy(subject: Subject) -> Iterator[Finding]:
    """A policy that names nobody means all servers, which is hardly meant; equal orders leave the choice open."""
    known = set(subject.cluster.server_names)
    for group in subject.cluster.groups:
        element = subject.element("group", group.name)
        entries = element.named("policy") if element is not None else []
        names = [entry.attributes.get("name", "") for entry in entries]
        if entries and not known.intersection(names):
            yield finding(
                "policy.none", "error", subject.at("group", group.name),
                "The failover policy of {name} names no server of this cluster: it can run nowhere.",
                "Name the servers that may run it, or remove the policy to let all of them.", name=group.name,
            )  # fmt: skip
        orders = Counter(order.value for entry in entries if (order := entry.child("order")) and order.value)
        equal = [order for order, count in orders.items() if count > 1]
        if equal:
            twins = [e.attributes.get("name", "") for e in entries if (o := e.child("order")) and o.value == equal[0]]
            yield finding(
                "policy.order", "warning", subject.at("group", group.name, f"policy@{twins[1]}/order"),
                "In the policy of {name} the servers {servers} have the same order {order}.",
                "Number the servers from 0, the preferred one first.",
                name=group.name, servers=twins, order=equal[0],
            )  # fmt: skip


def single_server(subject: Subject) -> Iterator[Finding]:
    if len(subject.cluster.servers) < 2:
        return
    for group in subject.cluster.groups:
        if len(group.policy) == 1 and group.type == "failover" and group.resources:
            yield finding(
                "policy.single", "note", subject.at("group", group.name),
                "{name} may run on {server} only: nothing takes it over.", "Add a server to its policy if one shall.",
                name=group.name, server=group.policy[0],
            )  # fmt: skip


def idle_servers(subject: Subject) -> Iterator[Finding]:
    used = {server for group in subject.cluster.groups for server in group.policy}
    for server in subject.cluster.server_names if used else ():
        if server not in used:
            yield finding(
                "server.idle", "note", subject.at("server", server),
                "{server} is in no failover policy: it runs nothing.",
                "Add it to a policy, unless it shall only vote.", server=server,
            )  # fmt: skip


# Exclusion ----------------------------------------------------------------------------------------------------------


def exclusion(subject: Subject) -> Iterator[Finding]:
    """Are there places for all groups that must be apart, with every server up? And with any one of them down?"""
    apart = [g for g in subject.cluster.groups if g.exclusive]
    if len(apart) < 2 or not any(g.exclusive == _ABSOLUTE for g in apart):
        return
    absolute = [g for g in apart if g.exclusive == _ABSOLUTE]
    # A normally exclusive group shares no server with an absolutely exclusive one either.
    for groups in (absolute, *([*absolute, group] for group in apart if group.exclusive != _ABSOLUTE)):
        crowd = _crowd(groups, ())
        if crowd:
            yield _impossible(subject, *crowd)
            return
    for server in subject.cluster.server_names:
        crowd = _crowd(absolute, (server,))
        if crowd:
            names, servers = crowd
            yield finding(
                "exclusion.failure", "note", subject.at("group", names[-1], "exclusive"),
                "When {server} is down, one of {groups} stays down: they must be apart, and may then run only on "
                "{servers}.", "Add a server to their policies if all shall go on.",
                server=server, groups=names, servers=servers,
            )  # fmt: skip
            return


def _impossible(subject: Subject, names: list[str], servers: list[str]) -> Finding:
    place = subject.at("group", names[-1], "exclusive")
    remedy = "Add servers to their policies, or take the exclusion from one of them."
    if len(names) == 2:
        text = "{groups} must be apart, but both may run only on {servers}."
        return finding("exclusion.impossible", "error", place, text, remedy, groups=names, servers=servers)
    text = "{groups} must be apart, but all {count} may run only on {servers}."
    return finding(
        "exclusion.impossible", "error", place, text, remedy, groups=names, count=str(len(names)), servers=servers
    )


def _crowd(groups: list[Group], without: Collection[str]) -> tuple[list[str], list[str]] | None:
    """Groups that have fewer servers than they are, and these servers; None where each finds one of its own.

    A matching by augmenting paths; where it fails, what the failed search has reached is such a crowd (Hall).
    """
    places = {g.name: [s for s in g.policy if s not in without] for g in groups}
    taken: dict[str, str] = {}
    for group in groups:
        seen: dict[str, None] = {}
        if places[group.name] and not _settle(group.name, places, taken, seen):
            names = {group.name, *(taken[server] for server in seen)}
            return [g.name for g in groups if g.name in names], list(seen)
    return None


def _settle(name: str, places: Mapping[str, list[str]], taken: dict[str, str], seen: dict[str, None]) -> bool:
    for server in places[name]:
        if server not in seen:
            seen[server] = None
            if server not in taken or _settle(taken[server], places, taken, seen):
                taken[server] = name
                return True
    return False


# Order --------------------------------------------------------------------------------------------------------------


def start_order(subject: Subject) -> Iterator[Finding]:
    """Orders that can never hold, or hold up a start for ever."""
    for group in subject.cluster.groups:
        for name in group.start_after:
            other = subject.groups.get(name)
            if other is None or other is group:
                continue
            place = subject.at("group", group.name, f"depend/act/depend@{name}")
            if name in group.start_same_server and not set(group.policy) & set(other.policy):
                yield finding(
                    "order.same_server", "warning", place,
                    "{group} starts after {other} only where both run on the same server, but no server may run both: "
                    "the order never holds.", "Remove it, or let them share a server.", group=group.name, other=name,
                )  # fmt: skip
            elif group.autostart and not other.autostart and name not in group.start_same_server:
                yield finding(
                    "order.manual", "warning", place,
                    "{group} starts by itself after {other}, which starts by hand only: it waits {wait} s and then "
                    "stays down.", "Let {other} start automatically, or {group} by hand.",
                    group=group.name, other=name, wait=f"{group.start_wait_s:g}",
                )  # fmt: skip


def crossed_order(subject: Subject) -> Iterator[Finding]:
    """What starts later stops earlier; the other way round it would for a while lack what it needs."""
    for group in subject.cluster.groups:
        for name in group.start_after:
            if name in group.stop_after:
                yield finding(
                    "order.crossed", "warning", subject.at("group", group.name, f"depend/deact/depend@{name}"),
                    "{group} starts after {other}, and stops after it as well: at a stop it would run without it.",
                    "Let {other} stop after {group}.", group=group.name, other=name,
                )  # fmt: skip


def failover_without_place(subject: Subject) -> Iterator[Finding]:
    """Recovery by failover asks for a second server; failback for a group that never leaves is no harm, but no use."""
    for group in subject.cluster.groups:
        if group.auto_failback and len(group.policy) == 1 and len(subject.cluster.servers) > 1:
            yield finding(
                "group.failback", "note", subject.at("group", group.name, "failback"),
                "{name} fails back automatically, but may run on {server} only.",
                "Remove the setting, or add a server.", name=group.name, server=group.policy[0],
            )  # fmt: skip


# Names --------------------------------------------------------------------------------------------------------------


def shared_names(subject: Subject) -> Iterator[Finding]:
    """Commands, logs and alerts tell objects apart by their names alone."""
    cluster = subject.cluster
    kinds: dict[str, list[str]] = defaultdict(list)
    for section, things in (
        ("server", cluster.servers), ("group", cluster.groups), ("resource", cluster.resources),
        ("monitor", cluster.monitors), ("heartbeat", cluster.heartbeats), ("networkpartition", cluster.resolvers),
    ):  # fmt: skip
        for thing in things:
            kinds[thing.name].append(section)
    for name, found in kinds.items():
        if len(found) > 1:
            yield finding(
                "name.shared", "warning", subject.at(found[-1], name),
                'The name "{name}" stands for several objects ({sections}): commands and logs cannot tell them apart.',
                "Rename one of them.", name=name, sections=found,
            )  # fmt: skip


RULES: tuple[Rule, ...] = (
    group_ids,
    group_types,
    group_policy,
    single_server,
    idle_servers,
    exclusion,
    start_order,
    crossed_order,
    failover_without_place,
    shared_names,
)
