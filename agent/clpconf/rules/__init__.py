"""All rules of a configuration: one function each, by theme."""

from __future__ import annotations

from agent.clpconf.rules import addresses, disks, file, groups, heartbeats, monitors, partitions, ports, types
from agent.clpconf.rules.subject import Rule

RULES: tuple[Rule, ...] = (
    *heartbeats.RULES,
    *partitions.RULES,
    *addresses.RULES,
    *groups.RULES,
    *disks.RULES,
    *ports.RULES,
    *monitors.RULES,
    *types.RULES,
    *file.RULES,
)
