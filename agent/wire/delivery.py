"""What an agent and whoever brings it a configuration hold to (the steps: agent/daemon/configuration.py)."""

from __future__ import annotations

from collections.abc import Mapping

PART_BYTES = 256 << 10  # as base64 it fits into a line, into a frame of a peer link and into one of the manager's
MOST_BYTES = 32 << 20  # of an archive
# Steps that work something out, and how long they may take; nothing has to be worked out for the others.
LONGEST_S: Mapping[str, float] = {"pack": 120.0, "store": 120.0, "switch": 120.0, "restore": 120.0}


class StepError(Exception):
    """One server could not do one step; the sentence is its own."""

    def __init__(self, server: str, reason: str, text: str) -> None:
        super().__init__(text)
        self.server = server
        self.reason = reason
