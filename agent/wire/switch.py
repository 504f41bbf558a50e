"""A change of the configuration of a running cluster, as servers remember it and tell each other about it."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

import msgspec

ID_HEX = 16

SwitchState = Literal["trying", "confirmed", "returned"]


def config_id(conf: bytes) -> str:
    """Names a clp.conf, in heartbeats and reports: the first 16 hex digits of its SHA-256."""
    return sha256(conf).hexdigest()[:ID_HEX]


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A configuration that this server has on its disk and could run: checked here, against what runs here."""

    config: str  # config_id of its clp.conf
    key: str  # of the archive that came
    groups: tuple[str, ...] = ()  # which the change stops and starts again, or stops for good
    level: str = ""  # agent/clpconf/plan.py: the hardest that the change needs
    servers: tuple[str, ...] = ()  # of the new configuration; (): the same


class Switch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One server's record of a change: what it runs now, and what it can go (back) to. Durable before the files are
    exchanged; the engine of the next daemon begins with it. `trying` and `confirmed`: it runs `to`, `returned`: it
    runs `origin` again."""

    id: str  # of the operator's request that began it
    to: str  # config_id
    origin: str  # config_id of the one before
    key: str  # of the archive with `to`
    members: tuple[str, ...]  # servers that switch together: nothing is decided until all of them were heard again
    groups: tuple[str, ...] = ()
    by: str = ""
    why: str = ""
    state: SwitchState = "trying"
    reason: str = ""  # of a return: one sentence
    meet_s: float = 30.0  # for all members to be heard with the new configuration, else each returns
    confirm_s: float = 0.0  # from then on, for the confirmation; 0: none is needed
    cause: str = ""  # id of the note

    @property
    def runs(self) -> str:
        """config_id of what this server runs by this record."""
        return self.origin if self.state == "returned" else self.to


class Applying(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """In the table, until all is over: the change that the coordinator drives.

    stopping: `groups` are being stopped; freezing: every member is told to decide nothing; switching: each exchanges
    its files and begins anew; trying: all run `to`, it waits for the confirmation; confirming: each makes it durable.
    `back`: the same way once more, from `to` to `origin`."""

    switch: Switch
    phase: Literal["stopping", "freezing", "switching", "trying", "confirming"]
    back: bool = False
    until: float = 0.0  # of trying: when it must have been confirmed, by the coordinator's clock (Note.time)
    health: bool = False  # confirmed by itself when the cluster is not worse in the end than it was
    ills: tuple[str, ...] = ()  # what was wrong before

    @property
    def leaves(self) -> str:
        """config_id of what is run until the exchange."""
        return self.switch.to if self.back else self.switch.origin

    @property
    def target(self) -> str:
        return self.switch.origin if self.back else self.switch.to

    @property
    def freezes(self) -> bool:
        """Nobody decides anything: every server is about to begin anew."""
        return self.phase in ("freezing", "switching")
