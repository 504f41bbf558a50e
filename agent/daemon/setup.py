"""What the daemon must know before it starts: names, configuration, key, and what an earlier run left behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec

from agent.clpconf.model import Cluster
from agent.daemon.load import ConfigurationError, load_cluster, read_config
from agent.daemon.paths import INCARNATION, PET_FD, READ_AGAIN, RESTART_CAUSE, SERVICE, Paths
from agent.daemon.running import RUNNING, Running, read_running, write_running
from agent.daemon.state import StateError, Stored, read_state
from agent.daemon.switching import Record, SwitchError, alone, read_record, read_stored
from agent.drivers.machine import boot_id
from agent.wire import switch

FACTS = "facts.json"


class SetupError(Exception):
    """The daemon cannot start; the sentence says why and what to do."""


class UnsettledError(Exception):
    """A change of the configuration was interrupted: clpd has to read clp.conf first."""


class Setup(msgspec.Struct, frozen=True):
    places: Paths
    me: str
    incarnation: int
    key: bytes
    running: Running
    findings: tuple[str, ...]
    stored: Stored  # as this daemon goes on with it
    saved: dict[str, Any]  # for the engine; its "local" is there only when this daemon takes over from a dead one
    adopts: bool  # what is held runs on; else it is a left-over that must go
    record: Record | None = None  # the newest change of the configuration of the running service
    configuration: switch.Stored | None = None  # what it could be changed to

    @property
    def cluster(self) -> Cluster:
        return self.running.cluster


async def prepare(places: Paths) -> Setup:
    """Raises SetupError for what an administrator has to mend, and UnsettledError."""
    try:
        places.make()
        me = places.own_name()
        incarnation = _incarnation(places)
        key = places.read_key()
        record, configuration = await asyncio.to_thread(_changes, places)
        earlier = read_state(Path(places.state_file))
        running, findings = await _configuration(places, incarnation)
    except (ConfigurationError, StateError, SwitchError, ValueError) as error:
        raise SetupError(str(error)) from error
    except OSError as error:
        raise SetupError(f"The agent cannot use its directories: {error}.") from error
    if me not in running.cluster.server_names:
        names = ", ".join(running.cluster.server_names)
        raise SetupError(
            f"This server is called {me}, clp.conf has {names}. Write the right name into {places.server}, "
            "or correct clp.conf."
        )
    stored, saved, adopts = _inherit(earlier, boot_id(), incarnation)
    first = earlier is None or earlier.incarnation != incarnation
    if first and os.environ.get(SERVICE) == "stopped":
        # As it was before clpd began anew; what the table says is about the configuration before.
        saved["local"] = {"service": "stopped"}
        saved.pop("table", None)
    return Setup(
        places, me, incarnation, key, running, tuple(findings), stored, saved, adopts, record, configuration
    )  # fmt: skip


def _changes(places: Paths) -> tuple[Record | None, switch.Stored | None]:
    with alone(places):  # The worker of a daemon that was killed may not be quite dead.
        record = read_record(places)
    if record is not None and not record.done and PET_FD in os.environ and os.environ.get(READ_AGAIN) != "1":
        raise UnsettledError
    return record, read_stored(places)


def _incarnation(places: Paths) -> int:
    """From the supervisor; a daemon started by hand reads the file that a supervisor left."""
    given = os.environ.get(INCARNATION) or Path(places.incarnation).read_text("ascii").strip()
    return int(given)


async def _configuration(places: Paths, incarnation: int) -> tuple[Running, list[str]]:
    """What this incarnation runs already (clpd has read it), else clp.conf as it is now."""
    place = Path(places.state) / RUNNING
    running = read_running(place)
    if running is not None and running.incarnation == incarnation:
        return running, [] if os.environ.get(RESTART_CAUSE) else list(running.findings)
    config = read_config(places.config)
    cluster, findings = await load_cluster(config)
    running = Running(incarnation=incarnation, config=config, cluster=cluster)
    write_running(place, running)
    return running, findings


def _inherit(earlier: Stored | None, boot: str, incarnation: int) -> tuple[Stored, dict[str, Any], bool]:
    """What holds on of an earlier run: promises always; activity only within one boot; its meaning only within one
    incarnation that was not stopped by force."""
    if earlier is None:
        return Stored(boot_id=boot, incarnation=incarnation), {}, False
    saved = dict(earlier.engine or {})
    same_boot = earlier.boot_id == boot
    adopts = same_boot and earlier.incarnation == incarnation and not earlier.released
    if not adopts:
        saved.pop("local", None)
    held = list(earlier.held) if same_boot else []
    return Stored(boot_id=boot, incarnation=incarnation, held=held, engine=saved or None), saved, adopts
