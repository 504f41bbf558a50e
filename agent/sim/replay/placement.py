"""Second form of a recorded case: servers with states, resources where they are, constraints on where they may be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from agent.clpconf.model import (
    Activation,
    Cluster,
    FenceDevice,
    Group,
    Heartbeat,
    Monitor,
    PartitionResolver,
    Resource,
    Server,
)
from agent.sim.replay.affinity import Wish, exclusion, join, policies, prefers_home
from agent.sim.replay.reading import NotSupportedError, listing, mapping, number, truth
from agent.sim.replay.stimuli import MOST_SERVERS

INTERVAL_S, TIMEOUT_S = 0.5, 2.5
_RESET = 5
Condition = Literal["on", "off", "dead", "hung", "absent", "standby"]
_TRANSITION = re.compile(r"^(Stop|Restart|Recover|Move|Migrate|Leave)\s+(\S+)\s+\(\s*(\S+)(?:\s+->\s+(\S+))?\s*\)")
_OPTIONAL = ("optional", "serialize", "0")


class Item(msgspec.Struct, kw_only=True):
    """One resource as it is at the beginning. `on`: more than one server only where the records say so."""

    name: str
    on: list[str] = []
    failed: bool = False
    cared_for: bool = True  # somebody watches and restarts it
    wanted: bool = True


class Question(msgspec.Struct, kw_only=True):
    """A case in our terms."""

    cluster: Cluster
    items: dict[str, Item]
    group_of: dict[str, str]
    conditions: dict[str, Condition]
    suspended: bool
    fences: bool
    units: dict[str, Wish]  # group -> what was wished of it
    set_aside: dict[str, list[str]] = {}

    def aside(self, subject: str, rule: str) -> None:
        rules = self.set_aside.setdefault(subject, [])
        if rule not in rules:
            rules.append(rule)


def question_of(case: Mapping[str, Any]) -> Question:
    return _Reader(case).question()


class _Reader:
    def __init__(self, case: Mapping[str, Any]) -> None:
        self.case = case
        self.policy = mapping(case.get("policy"), "policy")
        self.set_aside: dict[str, list[str]] = {}
        self.conditions = self._conditions()
        self.servers = list(self.conditions)
        if not 0 < len(self.servers) <= MOST_SERVERS:
            raise NotSupportedError("too-large", f"{len(self.servers)} servers; there can be 1 to {MOST_SERVERS}")
        self.members = self._members()
        self.items = self._items()
        self.unit_of: dict[str, str] = {r: group for group, members in self.members.items() for r in members}
        self.units = {name: self._unit(name, members) for name, members in self.members.items()}
        self.before: list[tuple[str, str]] = []  # first, then: groups or single resources
        self.after: dict[str, list[str]] = {}  # unit -> units that start before it
        self._locations()
        self._colocations()
        self._orders()

    def _aside(self, rule: str, subjects: Iterable[str] = ("",)) -> None:
        for subject in subjects:
            rules = self.set_aside.setdefault(subject, [])
            if rule not in rules:
                rules.append(rule)

    # Servers ----------------------------------------------------------------------------------------------------

    def _conditions(self) -> dict[str, Condition]:
        nodes = mapping(self.case.get("nodes"), "nodes")
        states = mapping(self.case.get("state"), "state")
        found = {}
        for name in [*nodes, *(s for s in states if s not in nodes)]:
            if name in states:  # What has no state is a remote end that nobody runs.
                standby = truth(mapping(nodes.get(name), name).get("standby", False))
                found[name] = self._condition(str(states[name]).lower(), standby)
        return found

    def _condition(self, state: str, standby: bool) -> Condition:
        if "health" in state:
            self._aside("node-health")
        if "maintenance" in state:
            self._aside("suspended")
            return "on"  # What runs there runs on, and nobody touches it.
        if "unclean" in state:
            return "hung" if "(online)" in state else "dead"
        if "offline" in state:
            return "off"
        if "pending" in state:
            return "absent"
        if "online" not in state and "standby" not in state:
            raise NotSupportedError("unknown-form", f'the state "{state}" of a server')
        return "standby" if standby or "standby" in state else "on"

    # Resources --------------------------------------------------------------------------------------------------

    def _members(self) -> dict[str, list[str]]:
        known: set[str] = set()
        groups: dict[str, list[str]] = {}
        for name, members in mapping(self.case.get("groups"), "groups").items():
            names = dict.fromkeys(str(r) for r in listing(members, name))
            groups[name] = [r for r in names if r not in known]  # A resource belongs to one group.
            known |= set(names)
        groups = {name: members for name, members in groups.items() if members}
        alone = [r for r in mapping(self.case.get("initial"), "initial") if r not in known]
        return {**groups, **{r: [r] for r in alone}}

    def _items(self) -> dict[str, Item]:
        items = {r: Item(name=r) for members in self.members.values() for r in members}
        initial = mapping(self.case.get("initial"), "initial")
        for name, told in initial.items():
            self._item(items[name], [str(each or "") for each in [*listing(told, name), "", "", ""][:3]])
        for line in listing(self.case.get("transition"), "transition"):
            found = _TRANSITION.match(str(line))
            if found and found[2] in items and found[2] not in initial:
                item, server = items[found[2]], found[3]
                if server in self.servers and server not in item.on:
                    item.on.append(server)
                item.failed = found[1] == "Recover"
        for name in items:
            if name not in initial and not items[name].on:
                self._aside("unknown-reason", [name])
        return items

    def _item(self, item: Item, told: list[str]) -> None:
        state, place, flags = told
        about = f"{place} {flags}".lower()
        item.failed = state.upper() == "FAILED"
        item.wanted = "disabled" not in about
        item.cared_for = not any(word in about for word in ("blocked", "unmanaged", "maintenance", "failure ignored"))
        if not state.lower().startswith("stopped") and place in self.servers:
            item.on = [place]
        elif not item.cared_for:
            item.wanted = False
        if "locked" in re.findall(r"[a-z]+", about):
            self._aside("shutdown-lock", [item.name])

    def _unit(self, name: str, members: list[str]) -> Wish:
        places = Counter(server for r in members for server in self.items[r].on)
        current = max(places, key=lambda s: places[s], default="")
        if (len(places) > 1 and len(members) > 1) or any(not self.items[r].wanted for r in members[1:]):
            self._aside("group-is-the-unit", members)
        return Wish(name=name, members=list(members), current=current)

    # Constraints ------------------------------------------------------------------------------------------------

    def _find(self, name: Any) -> str:
        """The unit of a group or resource; "" when the case does not describe it."""
        name = str(name)
        unit = self.units.get(name) or self.units.get(self.unit_of.get(name, ""))
        if unit is None:
            self._aside("unknown-name")
        return unit.name if unit else ""

    def _locations(self) -> None:
        opt_in = str(self.policy.get("symmetric-cluster", "true")).lower() in ("false", "0", "no", "off")
        for unit in self.units.values():
            unit.banned = set(self.servers) if opt_in else set()
        for raw in listing(self.case.get("location"), "location"):
            name, server, score = [*listing(raw, "a location"), None, None, None][:3]
            if found := self._find(name):
                self._locate(self.units[found], str(server), _score(score))

    def _locate(self, unit: Wish, server: str, score: float) -> None:
        unit.scores[server] = unit.score(server) + score
        if unit.scores[server] < 0:
            unit.banned.add(server)
        elif score > 0:
            unit.banned.discard(server)

    def _colocations(self) -> None:
        raws = [[*listing(raw, "a colocation"), None, None, None][:3]
                for raw in listing(self.case.get("colocation"), "colocation")]  # fmt: skip
        for one, other, score in sorted(raws, key=lambda raw: -_score(raw[2])):
            first, second, weight = self._find(one), self._find(other), _score(score)
            if first and second and first != second:
                self._colocate(self.units[first], self.units[second], weight)

    def _colocate(self, a: Wish, b: Wish, weight: float) -> None:
        both = [*a.members, *b.members]
        if weight == float("inf"):
            same_wish = all(self.items[r].wanted == self.items[both[0]].wanted for r in both)
            self._aside("same-server", both)
            if same_wish and join(self.units, a.name, b.name, self.servers):
                self._aside("group-is-the-unit", both)
        elif weight < 0:
            a.apart.add(b.name)
            b.apart.add(a.name)
            if weight != float("-inf"):
                self._aside("exclusion", both)
        else:
            self._aside("preference", both)

    def _orders(self) -> None:
        for raw in listing(self.case.get("order"), "order"):
            first, then, kind = [*listing(raw, "an order"), None, None, None][:3]
            one, other = self._find(first), self._find(then)
            if not one or not other:
                continue
            self.before.append((str(first), str(then)))
            if one != other and not self._follows(one, other):  # Else it would close a circle.
                self.after.setdefault(other, []).append(one)
            if str(kind).lower() not in _OPTIONAL:
                self._aside("start-order", [*self.units[one].members, *self.units[other].members])

    def _follows(self, unit: str, first: str) -> bool:
        """Does `unit` start after `first`, however many stand between?"""
        seen, waiting = set[str](), [unit]
        while waiting:
            each = waiting.pop()
            if each == first:
                return True
            waiting += [f for f in self.after.get(each, []) if f not in seen]
            seen.add(each)
        return False

    # The cluster ------------------------------------------------------------------------------------------------

    def question(self) -> Question:
        units = list({id(unit): unit for unit in self.units.values()}.values())
        for unit in units:
            unit.idle = not any(self.items[r].wanted for r in unit.members)
        ordered = policies(units, self.servers)
        units = [unit for unit in units if ordered[unit.name]]
        majority, phantoms = self._quorum()
        fences = str(self.policy.get("fencing-enabled", "true")).lower() not in ("false", "0", "no", "off")
        cluster = Cluster(
            name="replay", interval_s=INTERVAL_S, timeout_s=TIMEOUT_S, startup_wait_s=3.0, npaction=_RESET,
            quarantine_count=0, max_reboots=0, self_fencing=majority and fences,
            servers=tuple(Server(name=name, priority=index) for index, name in enumerate([*self.servers, *phantoms])),
            heartbeats=tuple(Heartbeat(name=f"lanhb{n + 1}", type="lanhb", priority=n, device=n) for n in range(2)),
            resolvers=(PartitionResolver(name="majonp1", type="majonp", priority=0, device=0),) if majority else (),
            fences=(FenceDevice(name="fence1", agent="fence_dummy"),) if fences else (),
            groups=tuple(self._group(unit, ordered[unit.name], units) for unit in units),
            resources=tuple(self._resource(r, unit) for unit in units for r in unit.members),
            monitors=tuple(self._monitor(r) for unit in units for r in unit.members if self._is_watched(r)),
        )  # fmt: skip
        return Question(
            cluster=cluster, items=self.items, conditions=self.conditions, fences=fences,
            group_of={r: unit.name for unit in units for r in unit.members},
            suspended=truth(self.policy.get("maintenance-mode", False)), set_aside=self.set_aside,
            units={unit.name: unit for unit in units},
        )  # fmt: skip

    def _quorum(self) -> tuple[bool, list[str]]:
        """Is a majority needed, and which servers that nobody ever hears must be there so that it is missing?"""
        if str(self.policy.get("no-quorum-policy", "stop")).lower() == "ignore":
            return False, []
        here = sum(c in ("on", "standby", "hung") for c in self.conditions.values())
        if truth(self.case.get("quorum", True)):
            return 2 * here > len(self.servers), []
        if 2 * here <= len(self.servers):
            return True, []
        count = min(len(self.servers), MOST_SERVERS - len(self.servers))
        return True, [f"absent{number}" for number in range(1, count + 1)]

    def _group(self, unit: Wish, policy: tuple[str, ...], units: list[Wish]) -> Group:
        first = [name for name in self.after.get(unit.name, []) if any(u.name == name for u in units)]
        return Group(
            name=unit.name, resources=tuple(unit.members), policy=policy,
            autostart=any(self.items[r].wanted for r in unit.members),
            auto_failback=prefers_home(unit, policy), exclusive=self._exclusive(unit, units),
            start_after=tuple(dict.fromkeys(first)),
        )  # fmt: skip

    def _exclusive(self, unit: Wish, units: list[Wish]) -> int:
        if not unit.apart:
            return 0
        soft = any("exclusion" in self.set_aside.get(r, ()) for r in unit.members)
        return 1 if soft else exclusion(units, self.servers)

    def _resource(self, name: str, unit: Wish) -> Resource:
        return Resource(
            name=name, type="exec", depends=tuple(self._below(name, unit)),
            activation=Activation(timeout_s=30.0, retry=0, failover=max(0, len(self.servers) - 1), action=1),
            deactivation=Activation(timeout_s=30.0, retry=0, action=1),
        )  # fmt: skip

    def _below(self, name: str, unit: Wish) -> list[str]:
        """What must be online before, within the unit: the member before it, and what an order puts before."""
        chain = self.members[self.unit_of[name]]
        below = chain[: chain.index(name)][-1:]
        for first, then in self.before:
            if then in (name, self.unit_of[name]) and self._find(first) == unit.name:
                last = (self.members.get(first) or [first])[-1]
                # Only forwards in the list of members: so no circle can arise.
                if last in unit.members and unit.members.index(last) < unit.members.index(name) and last not in below:
                    below.append(last)
        return below

    def _is_watched(self, name: str) -> bool:
        """Healthy resources would only be found healthy, again and again."""
        return self.items[name].failed and self.items[name].cared_for

    def _monitor(self, name: str) -> Monitor:
        return Monitor(
            name=f"watch {name}", type="genw", target=name, timing="active", interval_s=1.0, recovery_type="rsc",
            recovery_name=name, restart_threshold=3, failover_threshold=1,
        )  # fmt: skip


def _score(raw: Any) -> float:
    text = str(raw).strip().upper().lstrip("+")
    if text in ("INFINITY", "-INFINITY"):
        return float("-inf") if text.startswith("-") else float("inf")
    score = number(raw, 0.0)
    return float("inf") if score >= 1_000_000 else float("-inf") if score <= -1_000_000 else score
