"""From the bytes of clp.conf to the model that the product acts on, with everything that is wrong on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from agent.clpconf.alerts import read_alerts
from agent.clpconf.collection import without_collection
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.element import Element
from agent.clpconf.entry import Entry, has_name, instances, placed, unique
from agent.clpconf.fences import FenceAgent, read_fences
from agent.clpconf.findings import Finding, Severity
from agent.clpconf.groups import (
    RESOURCE_APART,
    check_depend_names,
    check_depends,
    check_groups,
    read_group,
    read_resource,
)
from agent.clpconf.model import Cluster, Group, Monitor, Resource, Server, WatchdogMethod
from agent.clpconf.monitors import MONITOR_APART, read_monitor
from agent.clpconf.policies import read_policies
from agent.clpconf.schema import TypeSpec, bad_value
from agent.clpconf.sections import INSTANCES, declared
from agent.clpconf.sections_cluster import ALL, CLUSTER
from agent.clpconf.sections_common import by_path
from agent.clpconf.servers import read_heartbeats, read_resolvers, read_servers


@dataclass(frozen=True, slots=True)
class Loaded:
    """`cluster` is there only when no finding is an error: nothing may act on half a configuration.
    `document` is None when the bytes are not well-formed. Findings come in the order of the file."""

    cluster: Cluster | None
    findings: list[Finding]
    document: Document | None

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]


def load(data: bytes, catalog: Mapping[str, TypeSpec], agents: Mapping[str, FenceAgent] | None = None) -> Loaded:
    """`catalog`: type name -> its declaration. Objects of other types are kept, with a warning. `agents`: the fence
    agents of this machine; without them the options of fence devices are not checked."""
    with without_collection():
        return _load(data, catalog, agents)


def _load(data: bytes, catalog: Mapping[str, TypeSpec], agents: Mapping[str, FenceAgent] | None) -> Loaded:
    try:
        document = Document.read(data)
    except DocumentError as error:
        return Loaded(None, error.findings, None)
    cluster, findings = interpret(document, catalog, agents)
    usable = not any(finding.severity == "error" for finding in findings)
    return Loaded(cluster if usable else None, findings, document)


def interpret(
    document: Document, catalog: Mapping[str, TypeSpec], agents: Mapping[str, FenceAgent] | None = None
) -> tuple[Cluster, list[Finding]]:
    """What could be read, with defaults where the file is wrong: for rules, never to act upon."""
    findings: list[Finding] = []
    cluster = _Loader(document.root, catalog, findings, agents).load()
    # A rule of the format and one of the type may say the same.
    return cluster, sorted(dict.fromkeys(findings), key=lambda finding: (finding.line, finding.column))


class _Loader:
    def __init__(
        self,
        root: Element,
        catalog: Mapping[str, TypeSpec],
        findings: list[Finding],
        agents: Mapping[str, FenceAgent] | None = None,
    ) -> None:
        self.root = root
        self.catalog = catalog
        self.findings = findings
        self.agents = agents

    def load(self) -> Cluster:
        if self.root.name != "root":
            text = f"The root element is <{self.root.name}>, not <root>."
            self._find(self.root, "xml.root", "error", text, "Is this a clp.conf?")
        servers = read_servers(self.root, self.findings)
        resources, groups = self._groups(servers)
        self._note_register()
        cluster = msgspec.structs.replace(
            self._settings(),
            servers=servers,
            heartbeats=read_heartbeats(self.root, servers, self.findings, self._check_type),
            resolvers=read_resolvers(self.root, self.findings, self._check_type),
            fences=read_fences(self.root, tuple(s.name for s in servers), self.findings, self.agents),
            groups=groups,
            resources=resources,
            monitors=self._monitors(servers, resources, groups),
        )
        self._check_sections()
        return cluster

    def _settings(self) -> Cluster:
        """What concerns the whole cluster; without any object."""
        cluster, own, system = self._section("cluster"), self._section("openclp"), self._section("all")
        if not cluster.text("name"):
            cluster.find("value.missing", "error", "The cluster has no name.", "Write <name> below <cluster>.", "name")
        params = by_path(CLUSTER.params)
        if system.text("serveros") == "windows":
            text = "This configuration was written for Windows servers."
            system.find("cluster.windows", "note", text, "Types that exist only there do not run here.", "serveros")
        interval_ms = cluster.get(params["heartbeat/interval"])
        timeout_ms = cluster.get(params["heartbeat/timeout"])
        if timeout_ms <= interval_ms:
            text = f"The heartbeat timeout ({timeout_ms} ms) is not above the interval ({interval_ms} ms)."
            cluster.find("heartbeat.timeout", "error", text, "Use at least three intervals.", "heartbeat/timeout")
        watchdog, panics = _watchdog(self.root)
        return Cluster(
            name=cluster.text("name"),
            comment=cluster.text("comment"),
            interval_s=interval_ms / 1000,
            timeout_s=timeout_ms / 1000,
            self_fencing=cluster.get(params["haltp"]) or _has_userw(self.root),
            watchdog=watchdog,
            watchdog_panics=panics,
            language=system.text("charset") or by_path(ALL.params)["charset"].default_text,
            npaction=cluster.get(params["networkpartition/npaction"]),
            alerts=read_alerts(self.root, self.findings),
            **read_policies(cluster, own, self._section("rc"), self._section("rm")),
        )

    def _groups(self, servers: tuple[Server, ...]) -> tuple[tuple[Resource, ...], tuple[Group, ...]]:
        names = tuple(server.name for server in servers)
        entries = {entry.name: entry for entry in self._entries("resource", RESOURCE_APART)}
        resources = {}
        for name, entry in entries.items():
            resources[name] = read_resource(entry, self.catalog.get(entry.element.name))
            self._check_object(entry, resources[name], names)
        elements = [e for e in self.root.named("group") if has_name(e, self.findings)]
        groups = [read_group(e, self.findings, names) for e in unique(elements, "group", self.findings)]
        check_groups(groups, entries)
        group_of = {resource: group.name for group, _ in groups for resource in group.resources}
        check_depend_names(resources.values(), group_of, entries)
        for group, _ in groups:
            check_depends(group, resources, entries, self.catalog)
        return tuple(resources.values()), tuple(group for group, _ in groups)

    def _monitors(
        self, servers: tuple[Server, ...], resources: tuple[Resource, ...], groups: tuple[Group, ...]
    ) -> tuple[Monitor, ...]:
        names = tuple(server.name for server in servers)
        there = {("rsc", resource.name) for resource in resources} | {("grp", group.name) for group in groups}
        monitors = []
        for entry in self._entries("monitor", MONITOR_APART):
            monitors.append(read_monitor(entry, names, lambda kind, name: (kind, name) in there))
            self._check_object(entry, monitors[-1], names)
        return tuple(monitors)

    def _entries(self, section: str, apart: frozenset[str]) -> list[Entry]:
        elements = list(instances(self.root, section, self.findings))
        return [Entry(element, self.findings, apart) for element in unique(elements, section, self.findings)]

    def _check_object(self, entry: Entry, thing: Resource | Monitor, servers: tuple[str, ...]) -> None:
        """The type's own rules, for the values as they hold on each server that overrides some."""
        for element in entry.element.named("server"):
            name = element.attributes.get("name", "")
            if name not in servers:
                remedy = f"Name one of {', '.join(servers) or 'the servers'}."
                self._find(element, "override.server", "error", f'There is no server "{name}".', remedy)
        spec = self._spec(entry)
        if spec is None:
            return
        if not thing.overrides:
            self._judge(entry, spec, thing.values)
            return
        for server in servers:
            self._judge(entry, spec, thing.on(server))

    def _check_type(self, entry: Entry) -> None:
        """For heartbeats and resolvers."""
        spec = self._spec(entry)
        if spec is not None:
            self._judge(entry, spec, entry.values(frozenset(("comment", "priority", "device"))))

    def _judge(self, entry: Entry, spec: TypeSpec, values: Mapping[str, str]) -> None:
        """What does not run yet does not keep the rest from running, however it is written."""
        for finding in entry.check(spec, values):
            harmless = finding.severity == "error" and not spec.ready
            self.findings.append(msgspec.structs.replace(finding, severity="warning") if harmless else finding)

    def _spec(self, entry: Entry) -> TypeSpec | None:
        spec = self.catalog.get(entry.element.name)
        if spec is None:
            text = f"Type {entry.element.name} of {entry.name} is not known: it is kept, but not run."
            remedy = "Check the spelling; else wait for a version that has it."
            entry.find("type.unknown", "warning", text, remedy)
        elif not spec.ready:
            text = f"Type {spec.name} of {entry.name} does not run in this version."
            if spec.platform == "windows":
                text = f"Type {spec.name} of {entry.name} exists on Windows servers only: it is kept, but not run."
            entry.find("type.not_ready", "warning", text, "Remove it, or wait for a version that runs it.")
        return spec

    def _check_sections(self) -> None:
        """Values that nothing acts upon here, but people and the original's tools do: at most a warning."""
        told = {finding.path for finding in self.findings}
        for section in self.root.children:
            if section.name in INSTANCES or section.name in ("server", "group"):
                continue  # Their objects are read one by one.
            entry = Entry(section, [])
            for leaf in entry.leaves.values():
                found = declared(leaf.path, {})
                if found is None or found.param is None or not leaf.value or leaf.path in told:
                    continue
                try:
                    found.param.kind.parse(leaf.value)
                except ValueError as error:
                    finding = bad_value(leaf.path, leaf.value, found.param.kind, error)
                    self.findings.append(placed(msgspec.structs.replace(finding, severity="warning"), leaf))

    def _note_register(self) -> None:
        """Each section names the types that it uses; other tools go by that register."""
        for section in ("resource", "monitor", "heartbeat", "networkpartition"):
            parts = self.root.named(section)
            declared = {t.attributes.get("name", ""): t for part in parts for t in part.named("types")}
            used = {child.name: child for part in parts for child in part.children if child.name != "types"}
            for name in sorted(used.keys() - declared.keys()):
                text, remedy = (
                    f"Type {name} is used but not registered.",
                    f'Write <types name="{name}"/> in this section.',
                )
                self._find(used[name], "types.register", "note", text, remedy)
            for name in sorted(declared.keys() - used.keys()):
                text = f"Type {name} is registered but not used."
                self._find(declared[name], "types.register", "note", text, "Remove this element.")

    def _section(self, name: str) -> Entry:
        """All parts of one section as one entry; an empty one when it is missing."""
        parts = self.root.named(name)
        if not parts:
            missing = Element(self.root.source, name, b"", b"", self.root.offset)
            missing.parent = self.root
            return Entry(missing, self.findings)
        merged = Entry(parts[0], self.findings)
        for part in parts[1:]:
            for path, leaf in Entry(part, self.findings).leaves.items():
                merged.leaves.setdefault(path, leaf)
        return merged

    def _find(self, element: Element, code: str, severity: Severity, text: str, remedy: str) -> None:
        self.findings.append(placed(Finding(code, severity, element.path, text, remedy), element))


def _has_userw(root: Element) -> bool:
    return any(part.child("userw") is not None for part in root.named("monitor"))


def _watchdog(root: Element) -> tuple[WatchdogMethod, bool]:
    """(method, by a panic?) of the userw monitor, else of the shutdown monitoring. Bad words are found elsewhere."""
    places = [(part.child("userw"), "parameters/") for part in root.named("monitor")]
    places += [(part, "") for part in root.named("haltp")]
    for element, below in places:
        if element is not None:
            entry = Entry(element, [])
            word = entry.text(f"{below}method").lower()
            method: WatchdogMethod = "softdog" if word == "softdog" else "ipmi" if word == "ipmi" else "keepalive"
            return method, entry.text(f"{below}action").upper() == "PANIC"
    return "keepalive", False
