"""ipw: watches whether the network reaches any of some addresses.

Abnormal only when none of the listed addresses answers: each of them is a witness for the way out. To watch several
devices each for itself, take one monitor for each.
"""

from __future__ import annotations

from agent.clpconf.schema import IP, Param, TypeSpec, Values
from agent.monitors import Health, MonitorType
from agent.ports import Address, Ports

# A lost packet is no outage: asked again twice while the first answer may still come.
_STARTS_S = (0.0, 0.5, 1.0)
_ENOUGH_S = 1.8  # Below the shortest usual timeout, so that the monitor still says what it missed.

SPEC = TypeSpec(
    "ipw",
    "IP monitor",
    params=(Param("parameters/list@*/ip", "IP address", IP, required=True, help="Answers to ping while all is well."),),
    help="Abnormal when none of the addresses answers to ping.",
    family="Network",
)


async def check(values: Values, _target: str, _watched: Values, ports: Ports) -> Health:
    import asyncio  # Whoever only reads the SPEC (clp.conf's reader, at each start) would pay for it.

    addresses = values["parameters/list@*/ip"]
    assert isinstance(addresses, tuple)
    asked = [asyncio.ensure_future(_ask(a, start_s, ports)) for start_s in _STARTS_S for a in addresses]
    try:
        for answer in asyncio.as_completed(asked):
            if await answer:
                return Health(True)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return Health(False, f"no answer to ping from {', '.join(str(a) for a in addresses)}")


async def _ask(address: Address, start_s: float, ports: Ports) -> bool:
    from asyncio import sleep

    await sleep(start_s)
    return await ports.network.ping(address, _ENOUGH_S - start_s) is not None


TYPE = MonitorType(SPEC, check)
