"""Reads the clp.conf that an agent sent into the shared model, without its secrets.

The manager needs no password of a fence device or a database: it only shows, predicts and asks. So the model that its
pages, REST and sockets are made from has none. The file itself stays in the database as it came.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from agent.clpconf import model
from agent.clpconf.fences import is_secret
from agent.clpconf.schema import TypeSpec

MASK = "********"
_T = TypeVar("_T", model.Heartbeat, model.PartitionResolver, model.FenceDevice, model.Resource, model.Monitor)


@functools.lru_cache(maxsize=64)
def load(data: bytes) -> tuple[model.Cluster | None, str]:
    """(model, "") or (None, sentence that says what is wrong). Takes up to a second for the largest files."""
    # Imported late: lxml costs every process that only migrates or lists 10 MB.
    from agent import catalog
    from agent.clpconf.load import load as load_document

    loaded = load_document(data, catalog.specs())
    if loaded.cluster is None:
        worst = next((f for f in loaded.findings if f.severity == "error"), None)
        place = f" (line {worst.line})" if worst and worst.line else ""
        reason = f"{worst.text}{place}" if worst else "It names no cluster."
        return None, f"The agents' clp.conf cannot be used: {reason}"
    found = without_secrets(loaded.cluster, catalog.specs())
    del loaded
    gc.collect(0)  # Elements know their parents: otherwise a megabyte of each document would stay for minutes.
    return found, ""


def without_secrets(cluster: model.Cluster, specs: Mapping[str, TypeSpec]) -> model.Cluster:
    """`specs` say which values are secret; where none says so, the name of the value does."""

    def masked(thing: _T) -> _T:
        spec = specs.get(getattr(thing, "type", ""))

        def secret(path: str) -> bool:
            param = spec.param(path) if spec is not None else None
            return is_secret(path.rpartition("/")[2]) or (param is not None and param.kind.secret)

        changes = {"values": _mask(thing.values, secret)}
        if overrides := getattr(thing, "overrides", None):
            changes["overrides"] = {server: _mask(own, secret) for server, own in overrides.items()}
        return replace(thing, **changes)

    parts = ("heartbeats", "resolvers", "fences", "resources", "monitors")
    return replace(cluster, **{part: tuple(map(masked, getattr(cluster, part))) for part in parts})


def _mask(values: Mapping[str, str], secret: Callable[[str], bool]) -> dict[str, str]:
    return {path: MASK if text and secret(path) else text for path, text in values.items()}
