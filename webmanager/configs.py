"""Reads the clp.conf that an agent sent into the shared model."""

from __future__ import annotations

import functools

from agent.clpconf import model


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
    return loaded.cluster, ""
