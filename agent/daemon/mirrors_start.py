"""Where the daemon meets its mirror disks. A server without any loads nothing of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.clpconf.model import Cluster
from agent.daemon.binding import Machine, NoMirrors
from agent.daemon.console import Console
from agent.daemon.journal import Journal
from agent.daemon.setup import Setup
from agent.daemon.via import Via
from agent.engine.engine import Engine
from agent.engine.events import Responded
from agent.ports import Mirrors as Port

if TYPE_CHECKING:
    from agent.daemon.mirrors import Mirrors


class NoMirrorsHere:
    """What the daemon calls, where there is nothing to do."""

    def serve(self, machine: Machine, console: Console) -> None:
        pass

    def start(self) -> None:
        pass

    def look(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def close(self) -> None:
        pass


def have_mirrors(cluster: Cluster) -> bool:
    return any(resource.type == "md" for resource in cluster.resources)


def mirrors_of(
    engine: Engine,
    setup: Setup,
    journal: Journal,
    now: Callable[[], float],
    feed: Callable[[Responded], None],
    via: Via,
    bug: Callable[[str], None],
    lease_since: Callable[[], float],
) -> Mirrors | NoMirrorsHere:
    if not have_mirrors(setup.cluster):
        return NoMirrorsHere()
    from agent.daemon.mirrors import Mirrors, here

    settings, wrong = here(setup.cluster, setup.me, setup.key, setup.places.run)
    return Mirrors(
        engine, settings, wrong, places=setup.places, journal=journal, now=now, feed=feed, forward=via.forward, bug=bug,
        lease_since=lease_since,
    )  # fmt: skip


def mirrors_alone(cluster: Cluster, me: str, key: Callable[[], bytes], run: str) -> Port:
    """For whoever takes things down without a daemon."""
    if not have_mirrors(cluster):
        return NoMirrors()
    from agent.daemon.mirrors import MirrorsAlone, here

    settings, _ = here(cluster, me, key(), run)
    return MirrorsAlone(settings)
