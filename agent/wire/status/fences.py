"""Fence devices and watchdogs: what can force a server off, and whether that has been proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.clpconf import model
from agent.wire.report import FenceReport
from agent.wire.status.seen import Seen


def fences_part(cluster: model.Cluster, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
    return {device.name: _device(cluster, device, seen) for device in cluster.fences}


def _device(cluster: model.Cluster, device: model.FenceDevice, seen: Mapping[str, Seen]) -> dict[str, Any]:
    """What it has proven counts from each server: the one that survives has to reach it."""
    reports = {name: one.report.fences.get(device.name) for name, one in seen.items() if one.report is not None}
    known = {name: result for name, result in reports.items() if result is not None and result.result}
    newest = max(known.values(), key=lambda result: result.at, default=FenceReport())
    return {
        "name": device.name,
        "agent": device.agent,
        "level": device.level,
        "delay_s": device.delay_s,
        "targets": list(device.overrides or cluster.server_names),
        "last_proven": max((result.proven for result in known.values()), default=0.0),
        "last_result": newest.result,
        "detail": newest.detail,
        "servers": {
            name: {"at": result.at, "result": result.result, "proven": result.proven, "detail": result.detail}
            for name, result in known.items()
        },
    }


def fencing_entry(cluster: model.Cluster, armed: bool) -> dict[str, Any]:
    """Of the whole cluster."""
    names = cluster.server_names
    return {
        "armed": armed,
        "covered": [name for name in names if cluster.fences_against(name)],
        "self_fencing": cluster.self_fencing,
    }
