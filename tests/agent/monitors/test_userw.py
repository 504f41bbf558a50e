"""userw: that it runs is the news; its settings choose the watchdog."""

import pytest

from agent.clpconf.load import load
from agent.monitors import Health
from agent.monitors.userw import SPEC, TYPE

CONF = """<?xml version="1.0" encoding="ASCII"?><root><cluster><name>demo</name>{cluster}</cluster>
<server name="server1"><priority>0</priority></server>{haltp}<monitor>{userw}</monitor></root>"""


async def test_it_is_well_as_long_as_it_runs(make_ports):
    assert await TYPE.check(SPEC.values({}), "", {}, make_ports()) == Health(True)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, (False, "keepalive", False)),
        ({"userw": '<userw name="userw"/>'}, (True, "keepalive", False)),
        (
            {"userw": '<userw name="userw"><parameters><method>softdog</method></parameters></userw>'},
            (True, "softdog", False),
        ),
        (
            {"userw": '<userw name="userw"><parameters><action>PANIC</action></parameters></userw>'},
            (True, "keepalive", True),
        ),
        ({"cluster": "<haltp>1</haltp>", "haltp": "<haltp><method>ipmi</method></haltp>"}, (True, "ipmi", False)),
    ],
)
def test_the_watchdog_is_chosen_by_userw_or_by_the_shutdown_monitoring(parts, expected):
    conf = CONF.format(**{"cluster": "", "haltp": "", "userw": "", **parts})

    cluster = load(conf.encode(), {"userw": SPEC}).cluster

    assert (cluster.self_fencing, cluster.watchdog, cluster.watchdog_panics) == expected
