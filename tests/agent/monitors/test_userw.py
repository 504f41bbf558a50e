"""userw, as far as it goes."""

from agent.monitors import Health
from agent.monitors.userw import SPEC, TYPE


async def test_supervisor_takes_the_part_of_the_watchdog_devices(make_ports):
    assert await TYPE.check(SPEC.values({}), "", {}, make_ports()) == Health(True)
    softdog = SPEC.values({"parameters/method": "softdog"})
    assert await TYPE.check(softdog, "", {}, make_ports()) == Health(True, "the supervisor takes the part of softdog")
