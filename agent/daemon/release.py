"""`python -m agent.daemon.release`: after the daemon's death, deactivate what it held. 0 when all is down.

Nobody else decides anything on this server meanwhile. One resource that does not come down does not keep the others
up: a floating address must go even when a script fails. Where state.json is damaged or gone, everything that the
configuration names and that is found active here counts as held; the file is left to the administrator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.catalog import RESOURCES
from agent.clpconf.model import Cluster, Group
from agent.daemon.actions import attempt
from agent.daemon.binding import Facts, Machine
from agent.daemon.clock import SteadyClock
from agent.daemon.journal import Journal
from agent.daemon.load import ConfigurationError, load_cluster, read_config
from agent.daemon.mirrors_start import mirrors_alone
from agent.daemon.paths import INCARNATION, Paths, paths
from agent.daemon.running import RUNNING, Running, read_running
from agent.daemon.setup import FACTS
from agent.daemon.state import StateError, StateFile, Stored, read_state
from agent.drivers.machine import boot_id
from agent.drivers.network import KernelNetwork
from agent.drivers.processes import LocalProcesses
from agent.engine.order import depends_on
from agent.ports import DriverError

_RELEASED, _NOT_RELEASED = 13, 32
FACTOR = "GROUPFAILOVER"
PROBE_S = 10.0

Say = Callable[[str], None]


async def release_all(machine: Machine, state: StateFile, log: Say, *, only_active: bool = False) -> list[str]:
    """Deactivate what is held, groups side by side, in each the newest first. Returns why something is still up.

    `only_active`: what a probe finds gone already is not deactivated (its stop script would run for nothing).
    """
    chains: dict[str, list[str]] = {}
    for name in reversed(state.held):
        group = machine.cluster.group_of(name)
        chains.setdefault(group.name if group else "", []).append(name)
    results = await asyncio.gather(*(_release(machine, state, c, log, only_active) for c in chains.values()))
    return [failure for failures in results for failure in failures]


async def probe(machine: Machine, name: str) -> bool:
    """Is it active? True when that cannot be found out."""
    try:
        bound = machine.resource(name)
        async with asyncio.timeout(PROBE_S):
            return await bound.type.active(bound.values, bound.ports)
    except (DriverError, TimeoutError):
        return True


async def found_active(machine: Machine) -> list[str]:
    """What runs here though nobody remembers it, in the order of activation. What cannot be asked does not count."""
    names = [name for group in machine.cluster.groups for name in _upwards(machine.cluster, group)]
    answers = await asyncio.gather(*(_surely_active(machine, name) for name in names))
    return [name for name, active in zip(names, answers, strict=True) if active]


async def _surely_active(machine: Machine, name: str) -> bool:
    with contextlib.suppress(DriverError, TimeoutError):
        bound = machine.resource(name)
        async with asyncio.timeout(PROBE_S):
            return await bound.type.active(bound.values, bound.ports)
    return False


def _upwards(cluster: Cluster, group: Group) -> list[str]:
    """A resource comes after all that it depends on."""
    types = {resource.type for resource in cluster.resources} & set(RESOURCES)
    depends = depends_on(cluster, group, {name: RESOURCES[name].spec.depends_on for name in types})
    order: list[str] = []
    while left := [name for name in group.resources if name not in order]:
        ready = [name for name in left if depends[name] <= set(order)]
        order += ready or left  # A circle has no right order.
    return order


async def _release(machine: Machine, state: StateFile, names: Sequence[str], log: Say, only_active: bool) -> list[str]:
    failures = []
    for name in names:
        if only_active and not await probe(machine, name):
            state.let_go(name)
            continue
        try:
            bound = machine.resource(name, factor=FACTOR)
        except DriverError as error:
            failures.append(error.detail)
            continue
        step = bound.resource.deactivation
        failure = ""
        for _ in range(1 + step.retry):
            failure = await attempt(name, bound.type.deactivate, bound, step.timeout_s, log)
            if not failure:
                state.let_go(name)
                break
        if failure:
            failures.append(f"{name}: {failure}")
    return failures


def make_machine(
    running: Running, me: str, places: Paths, network: KernelNetwork, log: Callable[[str, str], None]
) -> Machine:
    machine = Machine(
        running.cluster,
        me,
        network=network,
        processes=LocalProcesses(Path(places.runs), Path(places.log)),
        scripts=Path(places.scripts),
        facts=Facts(Path(places.state) / FACTS, boot_id()),
        log=log,
    )
    # The daemon puts its own in the place.
    machine.mirrors = mirrors_alone(running.cluster, me, places.read_key, places.run)
    return machine


async def _main(places: Paths, journal: Journal, stored: Stored, running: Running, me: str) -> int:
    state = StateFile(Path(places.state_file), stored)
    network = KernelNetwork()
    machine = make_machine(running, me, places, network, lambda name, text: journal.line("info", f"{name}: {text}"))
    failures = await release_all(machine, state, lambda text: journal.line("error", text))
    state.released()
    if failures:
        journal.write(_NOT_RELEASED, "server", me, me, " ".join(failures))
        return 1
    journal.write(_RELEASED, "server", me, me)
    return 0


async def _main_unremembered(places: Paths, journal: Journal, me: str) -> int:
    running = read_running(Path(places.state) / RUNNING) or await _configured(places)
    network = KernelNetwork()
    machine = make_machine(running, me, places, network, lambda name, text: journal.line("info", f"{name}: {text}"))
    held = await found_active(machine)
    # Never written: what peers were promised may be in the damaged file, and only an administrator may forget that.
    state = StateFile(Path(os.devnull), Stored(held=held), writes=False)
    failures = await release_all(machine, state, lambda text: journal.line("error", text))
    journal.write(_NOT_RELEASED if failures else _RELEASED, "server", me, me, " ".join(failures))
    return 1 if failures else 0


async def _configured(places: Paths) -> Running:
    config = read_config(places.config)
    cluster, _ = await load_cluster(config)
    return Running(incarnation=0, config=config, cluster=cluster)


def _release_unremembered(places: Paths, me: str) -> int:
    """state.json does not tell what is held."""
    clock = SteadyClock()
    incarnation = int(os.environ.get(INCARNATION) or 0)
    journal = Journal(Path(places.log), server=me, incarnation=incarnation, now=clock.now)
    try:
        return asyncio.run(_main_unremembered(places, journal, me))
    except ConfigurationError as error:
        sys.stderr.write(f"{me}: nobody knows what is active here: {error}\n")
        return 1
    finally:
        journal.close()


def main() -> int:
    places = paths()
    me = places.own_name()
    try:
        stored = read_state(Path(places.state_file))
    except StateError as error:
        sys.stderr.write(f"{error}\n")
        return _release_unremembered(places, me)
    if stored is None or stored.boot_id != boot_id() or not stored.held:
        return 0
    running = read_running(Path(places.state) / RUNNING)
    if running is None:
        sys.stderr.write(f"{me} holds {', '.join(stored.held)}, but its configuration is gone: stop them by hand.\n")
        return 1
    clock = SteadyClock()
    journal = Journal(Path(places.log), server=me, incarnation=stored.incarnation, now=clock.now)
    try:
        return asyncio.run(_main(places, journal, stored, running, me))
    finally:
        journal.close()


if __name__ == "__main__":
    sys.exit(main())
