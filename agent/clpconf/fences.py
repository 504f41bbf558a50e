"""Fence devices of clp.conf (/root/openclp/fence), with their rules.

`<openclp><fence name="bmc1"><agent>fence_ipmilan</agent><level>1</level><delay>2</delay><timeout>60</timeout>
<parameters><username>admin</username></parameters>
<server name="server1"><parameters><ip>192.0.2.11</ip></parameters></server></fence></openclp>`
A `<server>` is a target of the device, with the options that differ for it; without any, all servers are targets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.clpconf.element import Element
from agent.clpconf.entry import Entry, has_name, unique
from agent.clpconf.findings import Finding
from agent.clpconf.kinds import Kind
from agent.clpconf.model import FenceDevice
from agent.clpconf.schema import TypeSpec
from agent.clpconf.sections_common import COMMON, by_path

PARAMETERS = "parameters/"
# They shoot nobody and still say that it is done, or ask a person; "confirmed off" by them proves nothing.
USELESS = {
    "fence_watchdog": "it does nothing",
    "fence_dummy": "it only pretends",
    "fence_legacy": "it is a helper of another product",
    "fence_ack_manual": "a person does it (use clpfence confirm instead)",
}
_AGENT = re.compile(r"fence_[A-Za-z0-9_]{1,60}")
_COMMON = by_path(COMMON["openclp/fence"])
_SECRET = re.compile(r".*(passw|secret|token|community|apikey|access_key|_kg|tlskey|^key).*")
_NOT_SECRET = re.compile(r".*(_script|_file|key_value)$")


@dataclass(frozen=True, slots=True)
class FenceAgent:
    """What the metadata of a fence_* program says of it."""

    spec: TypeSpec
    aliases: Mapping[str, str] = field(default_factory=dict)  # deprecated option -> its name now
    actions: frozenset[str] = frozenset()
    description: str = ""

    def normal(self, values: Mapping[str, str]) -> dict[str, str]:
        """Options under their present names; where both are there, the present one counts."""
        renamed = {self.aliases.get(name, name): text for name, text in values.items() if name in self.aliases}
        return {**renamed, **{name: text for name, text in values.items() if name not in self.aliases}}


def is_secret(option: str) -> bool:
    """By its name: the metadata does not tell."""
    return _SECRET.fullmatch(option) is not None and _NOT_SECRET.fullmatch(option) is None


def read_fences(
    root: Element,
    servers: tuple[str, ...],
    findings: list[Finding],
    agents: Mapping[str, FenceAgent] | None,
) -> tuple[FenceDevice, ...]:
    """Sorted by level. `agents`: those that are installed here; None where none are, and nothing is known of them."""
    elements = [e for part in root.named("openclp") for e in part.named("fence") if has_name(e, findings)]
    devices = []
    for element in unique(elements, "fence device", findings):
        entry = Entry(element, findings, frozenset(("server",)))
        devices.append(_Reader(entry, servers, agents).read())
    _check_coverage(elements, devices, servers, findings)
    return tuple(sorted(devices, key=lambda device: (device.level, device.name)))


class _Reader:
    def __init__(self, entry: Entry, servers: tuple[str, ...], agents: Mapping[str, FenceAgent] | None) -> None:
        self.entry = entry
        self.servers = servers
        self.agent = self._agent(agents)

    def read(self) -> FenceDevice:
        entry = self.entry
        values = self._options(entry)
        overrides = {e.attributes.get("name", ""): self._target(e) for e in entry.element.named("server")}
        if not overrides:
            self._check(values, "")
        for server, own in overrides.items():
            self._check({**values, **own}, f" (target {server})")
        return FenceDevice(
            name=entry.name,
            agent=entry.text("agent"),
            level=entry.get(_COMMON["level"]),
            delay_s=float(entry.get(_COMMON["delay"])),
            timeout_s=float(entry.get(_COMMON["timeout"])),
            values=values,
            overrides=overrides,
        )

    def _agent(self, agents: Mapping[str, FenceAgent] | None) -> FenceAgent | None:
        name = self.entry.text("agent")
        if not _AGENT.fullmatch(name):
            text = f'"{name[:60]}" is no fence agent.' if name else "The fence agent is missing."
            remedy = "Name a program of the package fence-agents, for example fence_ipmilan (clpfence list)."
            self.entry.find("fence.agent", "error", text, remedy, "agent")
            return None
        if name in USELESS:
            severity = "warning" if name == "fence_dummy" else "error"
            text = f"{name} forces no server off: {USELESS[name]}."
            self.entry.find("fence.useless", severity, text, "Use the agent of a real device.", "agent")  # type: ignore[arg-type]
        if agents is None:
            remedy = "Install the package fence-agents on every server."
            self.entry.find("fence.unchecked", "note", f"{name} is not installed here: its options are not checked.",
                            remedy, "agent")  # fmt: skip
            return None
        agent = agents.get(name)
        if agent is None:
            remedy = "Check the spelling (clpfence list), or install the package that has it on every server."
            self.entry.find("fence.agent", "error", f"There is no fence agent {name} on this server.", remedy, "agent")
        return agent

    def _target(self, element: Element) -> dict[str, str]:
        part = Entry(element, self.entry.findings)
        name = element.attributes.get("name", "")
        if name not in self.servers:
            remedy = f"Name one of {', '.join(self.servers) or 'the servers'}."
            part.find("override.server", "error", f'There is no server "{name[:60]}".', remedy)
        return self._options(part)

    def _options(self, part: Entry) -> dict[str, str]:
        stated = part.values(_COMMON)
        options = {path[len(PARAMETERS) :]: text for path, text in stated.items() if path.startswith(PARAMETERS)}
        for path in stated.keys() - {PARAMETERS + name for name in options}:
            part.find("value.unknown", "note", "A fence device has no such parameter here; it has no effect.",
                      "Options of the agent stand below <parameters>.", path)  # fmt: skip
        return self.agent.normal(options) if self.agent else options

    def _check(self, options: Mapping[str, str], target: str) -> None:
        """The agent's own rules for the options as they hold for one target."""
        if self.agent is None:
            return
        raw = {PARAMETERS + name: text for name, text in options.items()}
        for finding in self.agent.spec.check(self.entry.element.path, raw):
            path = finding.path[len(self.entry.element.path) + 1 :]
            text = finding.text.removesuffix(".") + f"{target}." if finding.code == "value.missing" else finding.text
            self.entry.find(finding.code, finding.severity, text, finding.remedy, path)


def _check_coverage(
    elements: list[Element], devices: list[FenceDevice], servers: tuple[str, ...], findings: list[Finding]
) -> None:
    if not devices or len(servers) < 2:
        return
    covered = {server for device in devices for server in (device.overrides or dict.fromkeys(servers))}
    left = [server for server in servers if server not in covered]
    if left:
        text = f"No fence device has {', '.join(left)} as its target: when it is lost, nobody can force it off."
        first = elements[0]
        findings.append(Finding("fence.coverage", "warning", first.path, text,
                                "Add a device, or a <server> to one.", first.line, first.column))  # fmt: skip


def option_kind(name: str, kind: Kind) -> Kind:
    """The same kind, marked where its value must never be shown."""
    if not is_secret(name):
        return kind
    return Kind(kind.name, kind.parse, kind.help, kind.minimum, kind.maximum, kind.choices, secret=True)
