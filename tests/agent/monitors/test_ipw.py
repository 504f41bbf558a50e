"""ipw with real pings."""

import subprocess
import time

import pytest

from agent.monitors import Health
from agent.monitors.ipw import SPEC, TYPE

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def check(lan, make_ports):
    def run(*addresses):
        values = SPEC.values({f"parameters/list@{n}/ip": ip for n, ip in enumerate(addresses)})
        return lan.server.run(lambda network: TYPE.check(values, "", {}, make_ports(network=network)))

    return run


@pytest.mark.parametrize("addresses", [("10.77.0.2",), ("fd77::2",), ("10.77.0.99", "192.0.2.1", "10.77.0.2")])
def test_one_answer_is_enough_and_ends_the_check(check, addresses):
    begun = time.monotonic()

    assert check(*addresses) == Health(True)

    assert time.monotonic() - begun < 1.5  # Those that nobody answers take 1.8 s.


def test_no_answer_at_all_is_abnormal_and_names_the_addresses(check):
    assert check("10.77.0.99", "192.0.2.1") == Health(False, "no answer to ping from 10.77.0.99, 192.0.2.1")


def test_late_return_of_the_network_is_still_in_time(lan, check):
    """The first question is lost with the cable, the second is answered."""
    lan.server.ip("link", "set", "eth0", "down")
    holder = lan.server.path
    repair = f"sleep 0.25; nsenter --net={holder} ip link set eth0 up"
    with subprocess.Popen(["sh", "-c", repair]):
        assert check("10.77.0.2") == Health(True)
