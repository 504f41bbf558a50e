"""Rules for TCP and UDP ports: those of mirrors and probes are free and distinct."""

from __future__ import annotations

from collections.abc import Iterator

from agent.clpconf.findings import Finding
from agent.clpconf.rules.subject import Rule, Subject, finding

#: Internal communication, heartbeats and messages, the WebManager and alerts, mirror agents and drivers, heartbeats of
#: the kernel mode.
RESERVED = range(29001, 29007)
#: Paths of ports in group resources.
PORTS = {
    "md": ("parameters/mddriver/port", "parameters/mddriver/hbport", "parameters/mddriver/ack2port"),
    "azurepp": ("parameters/probeport",),
}  # fmt: skip


def listening(subject: Subject) -> Iterator[tuple[int, str, str]]:
    """(port, resource, path below it) of each port that a group resource listens on; defaults included."""
    for resource in subject.resources_of(*PORTS):
        for path in PORTS[resource.type]:
            text = subject.text(resource, path)
            if text.isascii() and text.isdigit():
                yield int(text), resource.name, path


def distinct_ports(subject: Subject) -> Iterator[Finding]:
    owners: dict[int, tuple[str, str]] = {}
    for port, name, path in listening(subject):
        place = subject.at("resource", name, path)
        if port in RESERVED:
            yield finding(
                "port.reserved", "error", place, "Port {port} of {name} is one of the product's own (29001 to 29006).",
                "Use a free port; mirrors have 29051 and up.", port=str(port), name=name,
            )  # fmt: skip
        other, other_path = owners.setdefault(port, (name, path))
        if (other, other_path) != (name, path):
            yield finding(
                "port.duplicate", "error", place, "{name} and {other} both use port {port}.",
                "Give each its own; for a further mirror add 1 to all three ports.",
                name=name, other=other, port=str(port),
            )  # fmt: skip


RULES: tuple[Rule, ...] = (distinct_ports,)
