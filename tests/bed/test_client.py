"""The client's probe: it sees a take-over, its length and its direction, with stand-ins for the agents."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest

from webmanager.demo.bed import Bed
from webmanager.demo.client import Client
from webmanager.demo.cluster import FIRST_FIP, FIRST_PORT
from webmanager.demo.configuration import SERVICE
from webmanager.demo.machine import BedError, until
from webmanager.demo.probe import Target, server_of

pytestmark = pytest.mark.root


@pytest.fixture
def client(bed: Bed) -> Iterator[Client]:
    for server in ("server1", "server2"):
        bed[server].spawn([sys.executable, "-I", "-S", str(SERVICE), "failover1", str(FIRST_PORT)])
        until(lambda at=server: "1F91" in bed[at].run(["cat", "/proc/net/tcp6"]).out, "the service listens", 30)
    client = Client(bed, {"failover1": (bed.address(FIRST_FIP, "pub"), FIRST_PORT)})
    yield client
    client.close()


def take(bed: Bed, server: str) -> None:
    bed[server].run(["ip", "address", "add", f"{bed.address(FIRST_FIP, 'pub')}/24", "dev", "pub"])
    # What a fip announces: an ARP request for itself.
    script = (
        "import socket,struct,sys\n"
        "mac=bytes.fromhex(open('/sys/class/net/pub/address').read().strip().replace(':',''))\n"
        "ip=socket.inet_aton(sys.argv[1])\n"
        "s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind(('pub',0x806))\n"
        "s.send(b'\\xff'*6+mac+struct.pack('!HHHBBH',0x806,1,0x800,6,4,1)+mac+ip+b'\\0'*6+ip)\n"
    )
    bed[server].run([sys.executable, "-c", script, bed.address(FIRST_FIP, "pub")])


@pytest.mark.slow
def test_client_measures_how_long_nobody_answered_and_who_answers_then(bed: Bed, client: Client):
    take(bed, "server1")
    client.wait_answer("failover1", "server1", 30)
    count = client.count("failover1")

    start = time.monotonic()
    bed.faults.power_off("server1")
    dark = time.monotonic()
    client.wait_answer("failover1", "", 30)
    least = time.monotonic() - dark
    take(bed, "server2")
    outage = client.outage_after("failover1", count, "server2", 30)
    most = time.monotonic() - start

    seen = client.seen("failover1")
    assert seen.answering == "server2"
    assert [(o["from"], o["to"]) for o in seen.outages[count:]] == [("server1", "server2")]
    # The client may have started its last good connection up to a step before.
    assert least <= outage <= most + 0.5


@pytest.mark.slow
def test_client_says_what_it_waited_for(bed: Bed, client: Client):
    with pytest.raises(BedError, match=r"waited 0\.3 s for an answer of failover1 from server3"):
        client.wait_answer("failover1", "server3", 0.3)


def test_probe_counts_a_change_of_server_without_a_gap():
    target = Target("failover1", "192.0.2.1", 80)
    assert target.answered("server1", 10.0, 10.001) is None
    assert target.answered("server1", 10.01, 10.011) is None

    change = target.answered("server2", 10.02, 10.021)

    assert change is not None
    assert (change["from"], change["to"], change["outage_s"]) == ("server1", "server2", 0.011)
    assert target.answered("server1", 10.015, 10.03) is None  # an older connection, answered late


def test_probe_takes_failed_connections_for_an_outage_but_not_late_answers():
    target = Target("failover1", "192.0.2.1", 80)
    target.answered("server1", 10.0, 10.001)
    assert target.answered("server1", 10.01, 10.2) is None  # late, or this client was late
    assert target.answering(10.2) == "server1"
    target.failed(10.005)  # older than the newest good one

    target.failed(10.02)
    assert target.answering(10.21) == ""
    outage = target.answered("server1", 10.5, 10.51)

    assert outage is not None
    assert outage["outage_s"] == 0.5
    assert target.answering(10.52) == "server1"


def test_probe_reads_the_server_from_the_answer():
    assert server_of(b"HTTP/1.0 200 OK\r\nX-Server: server2\r\n\r\n") == "server2"
    assert server_of(b"HTTP/1.0 500 Oops\r\n\r\n") == ""
    assert server_of(b"") == ""
    assert json.loads(json.dumps({"alive": {"failover1": ""}}))["alive"] == {"failover1": ""}


def test_probe_tells_runs_of_answers_and_ends_one_at_a_failure():
    target = Target("failover1", "192.0.2.1", 80)
    for start in (10.0, 10.01, 10.02):
        target.answered("server1", start, start + 0.001)
    assert target.report() == [{"name": "failover1", "server": "server1", "count": 3, "first": 10.001, "last": 10.02}]
    target.answered("server1", 10.03, 10.031)
    target.failed(10.04)
    target.answered("server1", 10.05, 10.051)
    target.answered("server2", 10.06, 10.061)

    told = [(run["server"], run["count"], run["first"]) for run in target.report()]
    assert told == [("server1", 4, 10.001), ("server1", 1, 10.051), ("server2", 1, 10.061)]
    assert [run["server"] for run in target.report()] == ["server2"], "the one that goes on is told again"
