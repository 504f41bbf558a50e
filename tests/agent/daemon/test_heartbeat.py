"""The heartbeat child as a real process on real LANs: on time, unimpressed by strangers, no word lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon.complaints import Complaints
from agent.daemon.heartbeat_client import HeartbeatClient, Neighbour
from agent.daemon.heartbeat_lan import ReceiveClock, canonical, steady
from agent.engine import events
from agent.engine.gaps import Figures
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.heartbeat import Codec, Packet
from tests.agent.daemon.heartbeat_lans import (
    KEY,
    LANS,
    ROOT,
    SERVERS,
    Child,
    Lans,
    Speaker,
    address,
    three_children,
)
from tests.agent.waiting import until, until_true

Bed = tuple[Lans, list[Child], list[Speaker]]
SEND = """
import socket, sys
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind((sys.argv[1], 0))
end.sendto(bytes.fromhex(sys.argv[3]), (sys.argv[2], 29002))
"""


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with three_children(tmp_path) as it:
        yield it


def lost(daemon: Speaker, since: float = 0.0) -> list[str]:
    return [fields["server"] for _, _, fields in daemon.verdicts("PeerLost", since=max(since, daemon.up_at))]


@pytest.mark.root
@pytest.mark.slow
def test_children_hear_each_other_and_tell_their_hardware(bed: Bed) -> None:
    lans, _, daemons = bed

    neighbours = {tuple(item) for message in daemons[0].of("neighbours") for item in message["items"]}

    assert neighbours == {
        (SERVERS[n], LANS[k], address(n, k), lans.mac(k, n)) for n in (1, 2) for k in (0, 1)
    }  # fmt: skip
    assert daemons[0].of("hello") == [{"type": "hello", "version": 1, "incarnation": 5}]
    assert daemons[0].of("note") == []


@pytest.mark.root
@pytest.mark.slow
def test_death_is_detected_in_one_timeout(bed: Bed) -> None:
    _, children, daemons = bed
    silences = []
    for _ in range(6):
        killed_at = steady()
        children[2].kill()
        for daemon in daemons[:2]:
            until(lambda d=daemon, t=killed_at: lost(d, t))
            silences.append(daemon.verdicts("PeerLost", since=killed_at)[0][2]["silence_s"])
        since = steady()
        children[2].start()
        with contextlib.closing(children[2].daemon().end):
            for daemon in daemons[:2]:
                until(lambda d=daemon, t=since: d.verdicts("PeerHeard", since=t))

    assert min(silences) >= 0.5
    assert statistics.median(silences) < 0.75  # Half a timeout later would be another detector, not a slow machine.


@pytest.mark.root
@pytest.mark.slow
def test_one_lan_lost_is_a_path_and_not_a_peer(bed: Bed) -> None:
    lans, _, daemons = bed
    since = steady()
    lans.pull(0, 1)
    until(lambda: len(daemons[0].verdicts("PathChanged", since=since)) == 1)
    lans.plug(0, 1)
    until(lambda: len(daemons[0].verdicts("PathChanged", since=since)) == 2)

    down, up = [fields for _, _, fields in daemons[0].verdicts("PathChanged", since=since)]
    assert (down["server"], down["heartbeat"], down["ok"]) == ("server2", "lanhb1", False)
    assert down["worst_gap_ms"] >= 450
    assert (up["server"], up["heartbeat"], up["ok"]) == ("server2", "lanhb1", True)
    assert [lost(d, since) for d in daemons] == [[], [], []]


@pytest.mark.root
@pytest.mark.slow
def test_thirty_percent_loss_on_every_lan_loses_nobody(bed: Bed) -> None:
    lans, _, daemons = bed
    lans.lose(30)
    since = steady()
    while steady() < since + 8:
        for daemon in daemons:
            daemon.read(0.2)

    assert [d.verdicts("PeerLost", "DeafPeer", "LeaseLost", "Stalled", since=since) for d in daemons] == [[], [], []]
    known = len(daemons[0].of("gaps"))
    until(lambda: [m for m in daemons[0].of("gaps")[known:] if m["server"] == "server2"], 15)
    gaps = [m for m in daemons[0].of("gaps") if m["server"] == "server2"][-1]
    assert max(Figures(*path).worst_ms for path in gaps["paths"].values()) >= 190  # The loss was real.
    assert Figures(*gaps["all"]).worst_ms <= max(Figures(*path).worst_ms for path in gaps["paths"].values())


@pytest.mark.root
@pytest.mark.slow
def test_address_that_goes_and_comes_back_is_used_again(bed: Bed) -> None:
    lans, children, daemons = bed
    since = steady()
    lans.nodes[1].sh(f"ip address del {address(1, 0)}/24 dev eth0")
    until(lambda: [v for v in daemons[0].verdicts("PathChanged", since=since) if not v[2]["ok"]])
    until(lambda: [n for n in children[1].control.of("note") if "lanhb1" in n["text"]])
    lans.nodes[1].sh(f"ip address add {address(1, 0)}/24 dev eth0")
    until(lambda: [v for v in daemons[0].verdicts("PathChanged", since=since) if v[2]["ok"]])
    lans.nodes[1].sh("ip link set eth1 down")
    until(lambda: len(daemons[0].verdicts("PathChanged", since=since)) == 3)
    lans.nodes[1].sh("ip link set eth1 up")
    until(lambda: len(daemons[0].verdicts("PathChanged", since=since)) == 4)

    assert [lost(d) for d in daemons] == [[], [], []]


@pytest.mark.root
@pytest.mark.slow
def test_packets_that_waited_count_at_the_time_the_kernel_got_them(bed: Bed) -> None:
    _, children, daemons = bed
    children[0].signal(signal.SIGSTOP)
    time.sleep(0.35)
    children[0].signal(signal.SIGCONT)
    known = len(daemons[0].of("gaps"))
    until(lambda: {m["server"] for m in daemons[0].of("gaps")[known:]} == {"server2", "server3"}, 15)

    # The child did not run for 0.35 s, but the peers beat on, and it knows when.
    told = [Figures(*path) for m in daemons[0].of("gaps")[known:] for path in m["paths"].values()]
    assert max(path.worst_ms for path in told) < 250
    until(lambda: Figures(*daemons[0].of("health")[-1]["late"]).worst_ms > 250, 15)
    starved = daemons[0].verdicts("Starved", since=daemons[0].up_at)
    assert [fields for _, _, fields in starved if fields["late_s"] > 0.2]
    assert daemons[0].verdicts("PeerLost", "PathChanged", since=steady() - 0.3) == []


@pytest.mark.root
@pytest.mark.slow
def test_long_stop_of_the_child_is_a_stall_and_no_loss(bed: Bed) -> None:
    _, children, daemons = bed
    since = steady()
    children[0].signal(signal.SIGSTOP)
    until(lambda: "server1" in lost(daemons[1]))
    time.sleep(0.3)
    children[0].signal(signal.SIGCONT)
    until(lambda: daemons[0].verdicts("Stalled", since=since))
    until(lambda: [v for v in daemons[1].verdicts("PeerHeard", since=since) if v[2]["server"] == "server1"])
    until(lambda: daemons[0].verdicts("LeaseHeld", since=since))

    assert lost(daemons[0], since) == []
    names = [name for _, name, _ in daemons[0].verdicts("Stalled", "LeaseLost", since=since)]
    assert names[:2] == ["Stalled", "LeaseLost"]


@pytest.mark.root
@pytest.mark.slow
def test_heartbeats_outlive_the_daemon_with_its_last_words(bed: Bed) -> None:
    _, children, daemons = bed
    since = steady()
    daemons[1].end.close()
    until(lambda: [m for m in daemons[0].of("health") if m["daemon_ages_ms"].get("server2", 0) > 2000], 25)

    assert lost(daemons[0], since) == []
    assert [v for v in daemons[0].verdicts("PeerHeard", since=since) if v[2]["server"] == "server2"] == []
    children[1].control.say(op="released")
    until(lambda: [v for v in daemons[0].verdicts("PeerHeard", since=since) if v[2]["service"] == "released"])


@pytest.mark.root
@pytest.mark.slow
def test_daemon_that_does_not_read_is_told_everything_later(tmp_path: Path) -> None:
    # With a longer interval each packet is taken as it comes.
    with three_children(tmp_path, interval_s=0.25, timeout_s=1.0) as (_, children, daemons):
        for counter in range(2, 1200):  # More news than a socket holds; server1's daemon hangs meanwhile.
            children[1].beat(daemons[1], "online", counter=counter)
            time.sleep(0.001)
        children[1].beat(daemons[1], "leaving", counter=5000)
        until(lambda: [v for v in daemons[2].verdicts("PeerHeard") if v[2]["epoch"] == [5000, 0]])

        def epochs() -> list[int]:
            return [v["epoch"][0] for _, _, v in daemons[0].verdicts("PeerHeard") if v["server"] == "server2"]

        until(lambda: epochs()[-1] == 5000)
        assert len(epochs()) < 1000  # Some did not fit, else this test shows nothing.
        assert [m for m in daemons[0].of("verdicts") if m["again"]][1:] != []


@pytest.mark.root
@pytest.mark.slow
def test_booting_child_listens_and_keeps_silent_until_its_daemon_speaks(bed: Bed) -> None:
    _, children, daemons = bed
    children[2].kill()
    until(lambda: lost(daemons[0]))
    since = steady()
    children[2].start()
    time.sleep(0.5)
    assert daemons[0].verdicts("PeerHeard", since=since) == []

    with contextlib.closing(children[2].daemon().end):
        until(lambda: daemons[0].verdicts("PeerHeard", since=since))
    assert {fields["service"] for _, _, fields in daemons[0].verdicts("PeerHeard", since=since)} == {"online"}


@pytest.mark.root
@pytest.mark.slow
def test_new_daemon_replaces_the_old_one_and_gets_the_whole_state(bed: Bed) -> None:
    _, children, daemons = bed
    children[2].kill()
    until(lambda: lost(daemons[0]))

    new = children[0].daemon()
    until(lambda: new.of("neighbours"))

    (whole,) = [m for m in new.of("verdicts") if m["again"]]  # News may have followed.
    assert [(name, fields.get("server")) for name, fields in whole["items"]] == [
        ("PathChanged", "server2"), ("PathChanged", "server2"), ("PeerHeard", "server2"),
        ("PathChanged", "server3"), ("PathChanged", "server3"), ("PeerLost", "server3"),
        ("LeaseHeld", None),
    ]  # fmt: skip
    until(lambda: daemons[0].read() or daemons[0].closed)
    new.end.close()


@pytest.mark.root
@pytest.mark.slow
def test_daemon_that_speaks_rubbish_is_cut_off_and_the_beats_go_on(bed: Bed) -> None:
    _, children, daemons = bed
    for rubbish in (
        b"\xff",
        b"[]",
        b'{"op":"beat"}',
        b'{"op":"beat","epoch":[-1,0],"service":"x","members":[],"holding":0}',
    ):
        daemon = children[0].daemon()
        daemon.end.send(rubbish)
        until(lambda d=daemon: d.read() or d.closed)
        daemon.end.close()

    assert children[0].daemon().of("hello") is not None
    assert [lost(d) for d in daemons[1:]] == [[], []]


@pytest.mark.root
@pytest.mark.slow
def test_strangers_get_a_clear_notice_and_move_nothing(bed: Bed) -> None:
    lans, _, daemons = bed
    rows = tuple((1, 0, 0, 0) for _ in SERVERS)
    told = Packet(1, 99, 99, 1.0, Epoch(9, 9), "released", 0, rows)  # "server2"
    good = Codec("demo", bytes.fromhex(KEY), 3, 2)
    lans.nodes[2].sh("ip address add 10.78.0.77/24 dev eth0")
    cases = [
        (address(2, 0), good.encode(told), "10.78.0.3 calls itself server2, whose address there is 10.78.0.2"),
        ("10.78.0.77", good.encode(told), "10.78.0.77 calls itself server2"),
        (address(2, 0), Codec("demo", b"x" * 32, 3, 2).encode(told), "10.78.0.3 (server3) was refused; it has another"),
        (address(2, 0), Codec("other", b"x" * 32, 3, 2).encode(told), "it belongs to another cluster"),
        (address(2, 0), b"rubbish" * 30, "it is no heartbeat"),
    ]
    for source, data, _ in cases:
        for _ in range(3):
            lans.nodes[2].python(SEND, source, address(0, 0), data.hex())

    def notes() -> list[str]:
        return [note["text"] for note in daemons[0].of("note")]

    until(lambda: all(any(said in note for note in notes()) for _, _, said in cases))
    assert [sum(said in note for note in notes()) for _, _, said in cases] == [1] * len(cases)  # It came three times.
    assert [v for v in daemons[0].verdicts("PeerHeard") if v[2]["epoch"] == [9, 9]] == []


@pytest.mark.root
@pytest.mark.slow
def test_replayed_packet_of_a_dead_peer_does_not_raise_it(bed: Bed) -> None:
    lans, children, daemons = bed
    children[2].kill()
    until(lambda: lost(daemons[0]))
    since = steady()
    rows = tuple((1, 0, 0, 0) for _ in SERVERS)
    old = Packet(2, 5, int(since * 1000) - 60_000, 1.0, NO_EPOCH, "online", 0, rows)
    code = Codec("demo", bytes.fromhex(KEY), 3, 2)
    for packet in (old, old._replace(incarnation=4, seq=2**60)):
        lans.nodes[2].python(SEND, address(2, 0), address(0, 0), code.encode(packet).hex())

    until(lambda: [n for n in daemons[0].of("note") if "earlier start of a peer" in n["text"]])
    assert daemons[0].verdicts("PeerHeard", since=since) == []


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("holding", [True, False])
def test_lost_lease_resets_who_holds_something(bed: Bed, holding: bool) -> None:
    lans, children, daemons = bed
    children[0].beat(daemons[0], "online", counter=2, holding=holding)
    until(lambda: [v for v in daemons[1].verdicts("PeerHeard") if v[2]["epoch"] == [2, 0]])
    since = steady()
    for lan in (0, 1):
        lans.pull(lan, 0)
    until(lambda: len([daemon for daemon in daemons if lost(daemon, since)]) == 3)
    lost_at = daemons[1].verdicts("PeerLost", since=since)[0][0]

    lease_at = daemons[0].verdicts("LeaseLost", since=since)[0][0]
    fenced_at = [at for at, message in daemons[0].got if message["type"] == "fenced"]
    assert lease_at < lost_at
    assert len(fenced_at) == (1 if holding else 0)
    assert all(lease_at < at < lost_at for at in fenced_at)


@pytest.mark.root
@pytest.mark.slow
def test_stop_says_goodbye(bed: Bed) -> None:
    _, children, daemons = bed
    children[2].control.say(op="stop")

    assert children[2].wait() == 0
    until(lambda: [v for v in daemons[0].verdicts("PeerHeard") if v[2]["service"] == "stopped"])


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(("command", "code"), [("/bin/true", 0), ("/bin/false", 1), ("sleep", 1)])
def test_orphan_has_the_groups_stopped_before_it_ends(tmp_path: Path, command: str, code: int) -> None:
    mark = tmp_path / "released"
    script = {"/bin/true": f"touch {mark}", "/bin/false": f"touch {mark}; exit 3", "sleep": f"touch {mark}; sleep 60"}
    with three_children(tmp_path, release=["/bin/sh", "-c", script[command]]) as (_, children, daemons):

        def said() -> list[str]:
            return [v["service"] for _, _, v in daemons[0].verdicts("PeerHeard") if v["server"] == "server3"]

        children[2].control.end.close()  # The supervisor dies; the daemon lives and stops its groups.
        time.sleep(1.2)
        os.kill(children[2].pid, 0)
        assert not mark.exists()
        daemons[2].end.close()  # Now the daemon dies as well, without having said that it stopped.

        assert children[2].wait() == code
        assert mark.exists()
        if code == 0:
            until(lambda: "released" in said())
        else:
            until(lambda: "server3" in lost(daemons[0]))
            assert "released" not in said()


@pytest.mark.root
@pytest.mark.slow
async def test_client_turns_verdicts_into_events_once(tmp_path: Path) -> None:
    got: list[events.Event] = []
    pinned: list[Neighbour] = []
    states: list[bool] = []

    with three_children(tmp_path) as (_, children, daemons):
        client = HeartbeatClient(
            children[0].socket, event=got.append, neighbour=pinned.append, note=lambda *_: None, connected=states.append
        )  # fmt: skip
        client.beat(Epoch(3, 1), "online", SERVERS, config="00ff" * 4)
        running = asyncio.create_task(client.run())
        await until_true(lambda: events.LeaseHeld() in got and len(pinned) == 4)
        heard = [e for e in got if isinstance(e, events.PeerHeard)]
        await until_true(lambda: [v for v in daemons[1].verdicts("PeerHeard") if v[2]["epoch"] == [3, 1]])
        assert daemons[1].verdicts("PeerHeard")[-1][2]["config"] == "00ff" * 4
        children[0].kill()
        children[0].start()
        await until_true(lambda: states == [True, False, True])
        # The new child beats with the old words again, once its daemon is there.
        await until_true(lambda: children[0].control.of("alive")[-1]["words"]["epoch"] == [3, 1])
        assert children[0].control.of("alive")[-1]["words"]["config"] == "00ff" * 4
        await asyncio.sleep(0.5)  # for what would be told a second time
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    assert heard == [
        events.PeerHeard(server=s, incarnation=5, epoch=Epoch(1, 0), service="online") for s in SERVERS[1:]
    ]
    assert not [e for e in got if isinstance(e, events.PeerLost)]
    assert states == [True, False, True, False]


def test_receive_time_of_a_packet_is_steady() -> None:
    wall, boot = 1000.0, 50.0
    clock = ReceiveClock(lambda: wall, lambda: boot)
    wall, boot = 1003.0, 53.0
    assert clock.begin() == 53.0
    assert clock.steady(1001.25) == 51.25
    assert clock.steady(None) == 53.0
    assert clock.steady(1009.0) == 53.0  # not in the future
    assert clock.steady(990.0) == 50.0  # not before the drain that did not find it

    wall, boot = 8000.0, 54.0  # The clock was set while packets waited.
    clock.begin()
    assert clock.steady(1003.5) == 54.0
    wall, boot = 8001.0, 55.0
    clock.begin()
    assert clock.steady(8000.25) == 54.25


def test_own_addresses_compare_in_one_spelling() -> None:
    assert canonical("fd00:0::0001%eth0") == "fd00::1"
    with pytest.raises(OSError, match="illegal IP address"):
        canonical("10.0.0.300")


def test_complaints_are_said_once_a_minute_and_bounded() -> None:
    said: list[tuple[str, str]] = []
    complaints = Complaints(lambda severity, text: said.append((severity, text)))
    for second in range(100, 170):
        complaints.add(second, "key 10.0.0.1", "error", "Wrong.")
    for source in range(1000):
        complaints.add(170, f"noise {source}", "error", "Noise.")

    assert said[:2] == [("error", "Wrong."), ("error", "Wrong. (60 more since the last notice)")]
    assert len(said) == 2 + 63


@pytest.mark.root
@pytest.mark.slow
def test_child_is_light(bed: Bed) -> None:
    """Memory and CPU at 100 ms with two peers on two LANs; the whole agent may have 40 MB."""
    _, children, _ = bed
    with open(f"/proc/{children[0].pid}/smaps_rollup") as file:
        pss_kb = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    before = _cpu_s(children[0].pid)
    time.sleep(3)
    share = (_cpu_s(children[0].pid) - before) / 3

    assert pss_kb < 16_000
    assert share < 0.05  # It does not spin; `bin/bench idle` has the figure.
    deadline = 6  # SCHED_DEADLINE has no name in os
    assert os.sched_getscheduler(children[0].pid) & ~os.SCHED_RESET_ON_FORK in (deadline, os.SCHED_FIFO)


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) * 1e-9


def test_child_needs_no_more_than_the_standard_library() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import agent.daemon.heartbeat;"
        "print(*sorted({'msgspec', 'asyncio', 'hashlib', 'subprocess', 'dataclasses'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, ROOT], capture_output=True, text=True, timeout=20)

    assert (done.stdout, done.stderr) == ("\n", "")
