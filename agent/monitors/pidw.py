"""pidw: watches the program that an asynchronous exec resource runs."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec, Values
from agent.monitors import Health, MonitorType
from agent.ports import Ports

SPEC = TypeSpec(
    "pidw",
    "PID monitor",
    help="Abnormal when the process of an asynchronous exec resource has ended; noticed at once, not at the interval.",
    family="Applications",
)


async def check(_values: Values, target: str, watched: Values, ports: Ports) -> Health:
    if watched.get("parameters/act/sync", True):
        # Nothing stays of a synchronous script; moving its group would not mend a mistake in the configuration.
        return Health(True, f"{target} waits for its start script, so that no process is left to watch")
    if await ports.processes.alive(_key(target)):
        return Health(True)
    return Health(False, f"the process of {target} has ended")


async def wake(_values: Values, target: str, watched: Values, ports: Ports) -> None:
    if watched.get("parameters/act/sync", True) or not await ports.processes.alive(_key(target)):
        from asyncio import Event  # Whoever only reads the SPEC would pay for it.

        # It can only change by being started, which is not worth a check.
        await Event().wait()
    await ports.processes.wait_gone(_key(target))


def _key(target: str) -> str:
    """As exec names the run of its start script."""
    return f"{target}.start"


TYPE = MonitorType(SPEC, check, wake)
