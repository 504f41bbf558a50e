"""First form of a recorded case: servers, services with rules about their places, and commands at their seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from agent.clpconf.model import Activation, Cluster, Group, Heartbeat, PartitionResolver, Resource, Server
from agent.sim.replay.affinity import Wish, exclusion, join, policies, prefers_home
from agent.sim.replay.reading import NotSupportedError, listing, mapping, natural, number, truth, words

MOST_SERVERS = 32
LONGEST_S = 200_000.0
# Theirs: a watchdog of 60 s, locks of 120 s. Ours: leases of 42 s, resets at 54 s, others start from 60 s on.
INTERVAL_S, TIMEOUT_S = 2.0, 60.0
_WANTED = ("started", "enabled")
_RESET = 5


class Service(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    server: str
    wanted: bool
    restarts: int
    relocations: int
    failback: bool
    place: str  # name of a set of servers with priorities, of older files
    starts_failing: int = 0
    moves_failing: int = 0
    stop_fails: bool = False
    only_on: str = ""  # failing starts and moves: only there


class Step(msgspec.Struct, frozen=True):
    at_s: float
    words: tuple[str, ...]


class Story(msgspec.Struct, kw_only=True):
    """A case in our terms. `set_aside`: service ("" for all) -> rules by which it may end differently."""

    cluster: Cluster
    services: dict[str, Service]
    group_of: dict[str, str]  # service -> group
    steps: list[Step]
    end_s: float
    on: list[str]  # at the beginning
    isolated: list[str]
    set_aside: dict[str, list[str]] = {}
    excused: dict[str, str] = {}  # server -> why it may be fenced there and not here, or the other way round

    def aside(self, subject: str, rule: str) -> None:
        rules = self.set_aside.setdefault(subject, [])
        if rule not in rules:
            rules.append(rule)


def story_of(case: Mapping[str, Any]) -> Story:
    nodes = mapping(case.get("nodes"), "nodes")
    servers = sorted(nodes, key=natural)
    if not 0 < len(servers) <= MOST_SERVERS:
        raise NotSupportedError("too-large", f"{len(servers)} servers; there can be 1 to {MOST_SERVERS}")
    steps = [_step(each, servers) for each in listing(case.get("stimuli"), "stimuli")]
    steps.sort(key=lambda step: step.at_s)
    services = _services(case, steps)
    places = _Places(case, services, servers)
    story = Story(
        cluster=_cluster(places, services, servers), services=services, steps=steps,
        group_of={s: places.units[s].name for s in services}, end_s=_end(case, steps),
        on=[n for n in servers if _is_on(nodes[n], "power")],
        isolated=[n for n in servers if _is_on(nodes[n], "power") and not _is_on(nodes[n], "network")],
        set_aside=places.set_aside,
    )  # fmt: skip
    if case.get("crs"):
        story.aside("", "failover-policy")
    return story


def _is_on(node: Any, what: str) -> bool:
    return str(mapping(node, "a node").get(what, "on")) == "on"


def _end(case: Mapping[str, Any], steps: list[Step]) -> float:
    told = [each[0] for key in ("starts", "fenced", "errors") for each in listing(case.get(key), key)
            if isinstance(each, list) and each]  # fmt: skip
    last = max([step.at_s for step in steps] + [number(at, 0.0) for at in told], default=0.0)
    if last > LONGEST_S:
        raise NotSupportedError("too-large", f"it lasts {last:g} s; at most {LONGEST_S:g} s are played")
    return last + 5 * TIMEOUT_S


# Commands -------------------------------------------------------------------------------------------------------

# Command -> words that may follow its object; None: any. What is known but concerns nothing of ours is left out later.
_COMMANDS: dict[str, tuple[str, ...] | None] = {
    "power": ("on", "off"), "network": ("on", "off"), "delay": None, "reboot": None, "shutdown": None,
    "restart-lrm": None, "skip-round": None, "cfs": None,
    "crm": ("start", "stop", "enable-node-maintenance", "disable-node-maintenance", "disarm-ha", "arm-ha"),
    "service": ("started", "enabled", "disabled", "stopped", "ignored", "stop", "migrate", "relocate", "add", "delete",
                "lock", "unlock"),
}  # fmt: skip
_OF_SERVERS = ("power", "network", "reboot", "shutdown", "crm")
_WITH_ARGUMENT = ("migrate", "relocate", "add")


def _step(raw: Any, servers: list[str]) -> Step:
    if not isinstance(raw, list) or len(raw) != 2 or not str(raw[1]).split():
        raise NotSupportedError("unknown-form", f"the stimulus {raw!r} is not [second, command]")
    at_s, found = number(raw[0], -1.0), tuple(str(raw[1]).split())
    if at_s < 0:
        raise NotSupportedError("unknown-form", f"{raw[0]!r} is no second")
    if found[0] not in _COMMANDS:
        raise NotSupportedError("unknown-command", f'the command "{raw[1]}"')
    then = _COMMANDS[found[0]]
    verb = found[2] if len(found) > 2 else ""
    if then is not None and verb not in then:
        raise NotSupportedError("unknown-command", f'the command "{raw[1]}"')
    if found[0] in _OF_SERVERS and (len(found) < 2 or found[1] not in servers):
        raise NotSupportedError("unknown-name", f'the command "{raw[1]}" names no server of the case')
    if verb in _WITH_ARGUMENT and (len(found) < 4 or found[3] not in servers):
        raise NotSupportedError("unknown-name", f'the command "{raw[1]}" names no server of the case')
    return Step(at_s, found)


# Services -------------------------------------------------------------------------------------------------------


def _services(case: Mapping[str, Any], steps: list[Step]) -> dict[str, Service]:
    """Also those that are added later."""
    found = {n: _service(n, mapping(s, n)) for n, s in mapping(case.get("services"), "services").items()}
    for step in steps:
        if step.words[0] == "service" and step.words[2] == "add":
            found.setdefault(step.words[1], _service(step.words[1], {"node": step.words[3]}))
        elif step.words[0] == "service" and step.words[1] not in found:
            raise NotSupportedError("unknown-name", f"the service {step.words[1]} is not described")
    return found


def _service(name: str, told: Mapping[str, Any]) -> Service:
    kind, _, digits = name.partition(":")
    plan = [int(d) for d in digits] if kind == "fa" and digits.isascii() and digits.isdecimal() else []
    b, c, d, f = ([*plan, *[0] * 6][i] for i in (1, 2, 3, 5))
    return Service(
        name=name, server=str(told.get("node") or ""), wanted=told.get("state") in _WANTED,
        restarts=_count(told.get("max_restart")), relocations=_count(told.get("max_relocate")),
        failback=truth(told.get("failback", 1)), place=str(told.get("group") or ""),
        starts_failing=b, moves_failing=c, stop_fails=d != 0, only_on=f"node{f}" if f else "",
    )  # fmt: skip


def _count(value: Any) -> int:
    return int(min(max(number(value, 1), 0), 99))


# Places ---------------------------------------------------------------------------------------------------------


class _Places:
    """Rules and sets of servers, applied one after the other."""

    def __init__(self, case: Mapping[str, Any], services: Mapping[str, Service], servers: list[str]) -> None:
        self.servers = servers
        self.services = services
        self.set_aside: dict[str, list[str]] = {}
        self.returns = {name: s.failback for name, s in services.items()}
        self.units = {n: Wish(name=n, members=[n], idle=not s.wanted) for n, s in services.items()}
        self._sets(case.get("groups"))
        rules = [mapping(rule, "a rule") for rule in listing(case.get("rules"), "rules")]
        rules = [rule for rule in rules if not truth(rule.get("disable", 0))]
        # What stands together is one unit before the units are kept apart.
        for rule in sorted(rules, key=lambda r: (r.get("kind") != "node-affinity", r.get("affinity") == "negative")):
            self._rule(rule)
        for unit in self.all_units():
            unit.current = _most([services[m].server for m in unit.members], unit.allowed(servers))
        self.exclusion = exclusion(self.all_units(), servers)
        if self.exclusion == 1:
            self._aside("exclusion", [m for unit in self.all_units() if unit.apart for m in unit.members])

    def all_units(self) -> list[Wish]:
        return list({id(unit): unit for unit in self.units.values()}.values())

    def _aside(self, rule: str, names: list[str]) -> None:
        for name in names:
            self.set_aside.setdefault(name, []).append(rule)

    def _sets(self, raw: Any) -> None:
        """Older files: named sets of servers, restricted to them or not, which services refer to."""
        for name, told in _named_sets(raw).items():
            members = [n for n, s in self.services.items() if s.place == name]
            self._prefer(members, words(told.get("nodes")), strict=truth(told.get("restricted", 0)))
            if truth(told.get("nofailback", 0)):
                self.returns.update(dict.fromkeys(members, False))

    def _rule(self, rule: Mapping[str, Any]) -> None:
        known = [name for name in words(rule.get("resources")) if name in self.units]
        if rule.get("kind") == "node-affinity":
            self._prefer(known, words(rule.get("nodes")), strict=truth(rule.get("strict", 0)))
        elif rule.get("affinity") == "positive":
            for name in known[1:]:
                if not join(self.units, known[0], name, self.servers):
                    self._aside("same-server", known)
        elif rule.get("affinity") == "negative":
            for name in known:
                self.units[name].apart |= {self.units[o].name for o in known if self.units[o] is not self.units[name]}
        else:
            raise NotSupportedError("unknown-form", f"the rule {rule.get('name')} is of no known kind")

    def _prefer(self, services: list[str], nodes: list[str], *, strict: bool) -> None:
        """Nodes as "node2:2": a name and its priority; those that are not named come last, or never."""
        scores = {}
        for node in nodes:
            name, _, priority = node.partition(":")
            scores[name] = number(priority, 0.0) + 1.0
        for service in services:
            unit = self.units[service]
            unit.scores = {**unit.scores, **scores}
            if strict:
                unit.banned |= set(self.servers) - set(scores)


def _named_sets(raw: Any) -> dict[str, dict[str, Any]]:
    """As an object of objects, as a list with names, or as the text of the configuration file."""
    if isinstance(raw, list):
        each = [mapping(item, "a group") for item in raw]
        return {str(item.get("group") or item.get("name") or ""): item for item in each}
    if not isinstance(raw, str):
        return {name: mapping(told, name) for name, told in mapping(raw, "groups").items()}
    found: dict[str, dict[str, Any]] = {}
    name = ""
    for line in raw.splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "group:":
            name = value.strip()
            found[name] = {}
        elif key and name:
            found[name][key] = value.strip() or "1"
    return found


def _most(names: list[str], allowed: list[str]) -> str:
    """The server that most of them name, the first among equals."""
    counted = Counter(name for name in names if name in allowed)
    return max(counted, key=lambda name: (counted[name], -names.index(name)), default="")


# The cluster ----------------------------------------------------------------------------------------------------


def _cluster(places: _Places, services: Mapping[str, Service], servers: list[str]) -> Cluster:
    ordered = policies(places.all_units(), servers)
    units = [unit for unit in places.all_units() if ordered[unit.name]]  # Where nothing is allowed, nothing runs.
    return Cluster(
        name="replay", interval_s=INTERVAL_S, timeout_s=TIMEOUT_S, startup_wait_s=0.0, self_fencing=True,
        npaction=_RESET, quarantine_count=0, max_reboots=0,
        servers=tuple(Server(name=name, priority=index) for index, name in enumerate(servers)),
        heartbeats=tuple(Heartbeat(name=f"lanhb{n + 1}", type="lanhb", priority=n, device=n) for n in range(2)),
        resolvers=(PartitionResolver(name="majonp1", type="majonp", priority=0, device=0),),
        groups=tuple(_group(u, ordered[u.name], services, places.returns, places.exclusion) for u in units),
        resources=tuple(_resource(services[member]) for unit in units for member in unit.members),
    )  # fmt: skip


def _group(
    unit: Wish, policy: tuple[str, ...], services: Mapping[str, Service], returns: Mapping[str, bool], exclusive: int
) -> Group:
    return Group(
        name=unit.name, resources=tuple(unit.members), policy=policy,
        autostart=any(services[m].wanted for m in unit.members),
        auto_failback=all(returns[m] for m in unit.members) and prefers_home(unit, policy),
        exclusive=exclusive if unit.apart else 0,
    )  # fmt: skip


def _resource(service: Service) -> Resource:
    return Resource(
        name=service.name, type="exec", depends=(),
        activation=Activation(timeout_s=60.0, retry=service.restarts, failover=service.relocations, action=1),
        deactivation=Activation(timeout_s=60.0, retry=0, action=1),
    )  # fmt: skip
