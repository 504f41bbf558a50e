"""clpd with a stand-in daemon: what dies is mended, what is dead for good is released, and the peers hear the truth."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.clpconf.model import Cluster, Device, Heartbeat, PartitionResolver, Server
from agent.daemon.cluster_facts import ConfigurationError, Facts, facts_of
from agent.daemon.incarnation import next_incarnation
from agent.daemon.paths import Paths, paths
from agent.wire.heartbeat import Codec, Packet, derive_key
from tests.agent.daemon.heartbeat_lans import ROOT
from tests.agent.waiting import PATIENCE_S, until

KEY = b"a cluster key for the tests"
# Two test runs at once must not take each other's addresses.
LAN = f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
OWN, PEER = f"{LAN}.1", f"{LAN}.2"

# Says who it is, is "online", and pets, but as the files of its directory tell it to.
DAEMON = """
import json, os, signal, socket, sys, time
home = os.environ["HOME"]
def there(name): return os.path.exists(os.path.join(home, name))
if there("refuse"): sys.exit(1)
def leave(*_):
    open(home + "/stopped", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
with open(home + "/daemons", "a") as file:
    words = [os.getpid(), os.environ["OPENCLP_INCARNATION"], os.environ["OPENCLP_RESTART_CAUSE"]]
    file.write(json.dumps([*words, os.environ.get("OPENCLP_READ_AGAIN")]) + "\\n")
end = None
while True:
    if there("switch"):
        os.unlink(home + "/switch")
        sys.exit(76)
    if not there("silent"): os.write(int(os.environ["OPENCLP_PET_FD"]), b".")
    try:
        if end is None:
            end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            end.connect(os.environ["OPENCLP_RUN"] + "/heartbeat.sock")
            words = {"op": "beat", "epoch": [3, 0], "service": "online", "members": [], "holding": False}
            end.send(json.dumps(words).encode())
        end.send(b'{"op":"alive"}')
    except OSError:
        end = None
    time.sleep(0.05)
"""
RELEASE = """
import os, sys, time
home = os.environ["HOME"]
open(home + "/release-ran", "a").write("x")
if os.path.exists(home + "/release-hangs"): time.sleep(60)
if os.path.exists(home + "/release-is-slow"): time.sleep(2.2)
sys.exit(os.path.exists(home + "/release-fails"))
"""
CLPD = """
import sys
sys.path.insert(0, sys.argv[1])
from agent.daemon import supervisor
supervisor.DAEMON = (sys.executable, sys.argv[2] + "/daemon.py")
supervisor.RELEASE = (sys.executable, sys.argv[2] + "/release.py")
supervisor.FORKS = False
supervisor.LOAD = ("/bin/cat", sys.argv[2] + "/model.json")
sys.exit(supervisor.main())
"""


def cluster(**changes: Any) -> Cluster:
    def server(number: int) -> Server:
        return Server(
            name=f"server{number}", priority=number, devices=(Device(id=0, type="lan", info=f"{LAN}.{number}"),)
        )  # fmt: skip

    given: dict[str, Any] = {
        "name": "demo", "interval_s": 0.05, "timeout_s": 2.0, "grace_s": 1.5, "servers": (server(1), server(2)),
        "heartbeats": (Heartbeat(name="lanhb1", type="lanhb", priority=0, device=0),),
    }  # fmt: skip
    return Cluster(**{**given, **changes})


class Clpd:
    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        self.places = Paths(*(str(home / name) for name in ("etc", "state", "run", "log")))
        self.environ = {
            **os.environ, "HOME": str(home), **environ,
            **{f"OPENCLP_{name.upper()}": value for name, value in self.places._asdict().items()},
        }  # fmt: skip
        self.places.make()
        self.write_key(KEY, 0o600)
        (home / "etc/server").write_text("server1\n")
        (home / "daemon.py").write_text(DAEMON)
        (home / "release.py").write_text(RELEASE)
        (home / "model.json").write_bytes(msgspec.json.encode(cluster()))
        self.codec = Codec("demo", derive_key(KEY), 2, 1)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind((PEER, 29002))
        self.peer.settimeout(PATIENCE_S)
        self.process = self.start()

    def write_key(self, key: bytes, mode: int) -> None:
        path = Path(self.places.key)
        path.write_bytes(key + b"\n")
        path.chmod(mode)

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CLPD, ROOT, str(self.home)]
        # Of a group of its own, as started by anybody: were it to kill its group, these tests would not see why.
        return subprocess.Popen(command, env=self.environ, stderr=subprocess.PIPE, text=True, process_group=0)

    def fail(self) -> tuple[int, str]:
        """Start another one that gives up."""
        process = self.start()
        _, text = process.communicate(timeout=PATIENCE_S)
        return process.returncode, text

    def beats(self, seconds: float) -> list[Packet]:
        """What a peer hears in that time."""
        end = time.monotonic() + seconds
        return self.beats_while(lambda: time.monotonic() < end)

    def beats_while(self, claim: Callable[[], bool]) -> list[Packet]:
        found = []
        end = time.monotonic() + PATIENCE_S
        while claim():
            assert time.monotonic() < end, f"{claim} did not end within {PATIENCE_S:g} s"
            found.append(self.beat())
        return found

    def beat(self) -> Packet:
        packet = self.codec.decode(self.peer.recv(2000))
        assert packet is not None, self.codec.why
        return packet

    def beat_after(self, claim: Any, timeout_s: float = PATIENCE_S) -> Packet:
        """The first beat of which the claim is true."""
        end = time.monotonic() + timeout_s
        while True:
            packet = self.beat()
            if claim(packet):
                return packet
            assert time.monotonic() < end, packet

    def daemons(self) -> list[list[Any]]:
        path = self.home / "daemons"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def touch(self, name: str) -> None:
        (self.home / name).touch()

    def forget(self, name: str) -> None:
        (self.home / name).unlink()

    def children(self) -> dict[str, int]:
        found = {}
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in pids:
            words = b""
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if words:  # else it is dead, and perhaps not reaped yet
                found["daemon" if b"daemon.py" in words else "child" if b"-S" in words else "release"] = int(pid)
        return found

    def log(self) -> str:
        return Path(self.places.supervisor_log).read_text()

    def close(self) -> None:
        pids = self.children().values() if self.process.poll() is None else []
        for pid in (*pids, self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                if self.process.poll() is None or pid != self.process.pid:
                    os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=PATIENCE_S)
        self.peer.close()
        until(self.unlocked)

    def unlocked(self) -> bool:
        """Nobody of them is left: all of them hold the lock."""
        return subprocess.run(["flock", "-n", self.places.lock, "true"], check=False).returncode == 0


@pytest.fixture
def clpd(tmp_path: Path) -> Iterator[Clpd]:
    it = Clpd(tmp_path)
    it.beat_after(lambda packet: packet.service == "online")
    yield it
    it.close()


@pytest.mark.slow
def test_daemon_killed_is_replaced_and_peers_hear_no_change(clpd: Clpd) -> None:
    time.sleep(1)  # long enough to be well
    first = clpd.daemons()[0][0]
    os.kill(first, signal.SIGKILL)
    beats = [*clpd.beats_while(lambda: len(clpd.daemons()) < 2), *clpd.beats(0.5)]

    assert {beat.service for beat in beats} == {"online"}
    assert max(beat.daemon_age_ms for beat in beats) > beats[-1].daemon_age_ms
    assert [b.seq - a.seq for a, b in pairwise(beats)] == [1] * (len(beats) - 1)
    (_, incarnation, _, _), (second, again, cause, _) = clpd.daemons()
    assert (second != first, incarnation == again) == (True, True)
    assert cause == "The daemon was killed by SIGKILL."
    assert not (clpd.home / "release-ran").exists()


@pytest.mark.slow
def test_daemon_that_makes_way_for_another_configuration_is_no_error(clpd: Clpd) -> None:
    """Its children go on when nothing has changed for them."""
    time.sleep(1)  # long enough to be well
    child = clpd.children()["child"]
    clpd.touch("switch")
    beats = [*clpd.beats_while(lambda: len(clpd.daemons()) < 2), *clpd.beats(0.3)]

    assert {beat.service for beat in beats} == {"online"}
    assert [b.seq - a.seq for a, b in pairwise(beats)] == [1] * (len(beats) - 1)
    assert clpd.children()["child"] == child
    assert clpd.daemons()[1][1:] == [clpd.daemons()[0][1], "", "1"]
    assert "ERROR" not in clpd.log()
    os.kill(clpd.daemons()[1][0], signal.SIGKILL)  # The one after that has not read anything again.
    until(lambda: len(clpd.daemons()) > 2)
    assert clpd.daemons()[2][2:] == ["The daemon was killed by SIGKILL.", "0"]


@pytest.mark.slow
def test_new_settings_reach_the_heartbeats_which_go_on_with_the_last_words(clpd: Clpd) -> None:
    before = clpd.beats(0.2)[-1]
    child = clpd.children()["child"]
    (clpd.home / "model.json").write_bytes(msgspec.json.encode(cluster(interval_s=0.1)))
    clpd.touch("switch")
    until(lambda: clpd.children().get("child", child) != child)
    after = clpd.beat_after(lambda packet: packet.seq > before.seq + 30)

    assert (after.service, after.epoch, after.incarnation) == (before.service, before.epoch, before.incarnation)
    assert "ERROR" not in clpd.log()
    assert "with its new settings" in clpd.log()


@pytest.mark.slow
def test_configuration_that_cannot_be_read_again_changes_nothing(clpd: Clpd) -> None:
    time.sleep(1)
    child = clpd.children()["child"]
    (clpd.home / "model.json").unlink()
    clpd.touch("switch")
    until(lambda: len(clpd.daemons()) > 1)

    assert clpd.children()["child"] == child
    assert "could not be read again, the heartbeats stay as they are" in clpd.log()


@pytest.mark.slow
def test_stopped_daemon_is_killed_and_replaced(clpd: Clpd) -> None:
    time.sleep(1)
    os.kill(clpd.daemons()[0][0], signal.SIGSTOP)
    beats = clpd.beats_while(lambda: len(clpd.daemons()) < 2)

    assert {beat.service for beat in beats} == {"online"}
    assert clpd.daemons()[1][2] == "The daemon hung: it was silent for too long and was killed."
    assert not (clpd.home / "release-ran").exists()


@pytest.mark.slow
def test_daemon_that_stays_away_is_released_and_welcomed_back(clpd: Clpd) -> None:
    time.sleep(1)
    clpd.touch("refuse")
    killed_at = time.monotonic()
    os.kill(clpd.daemons()[0][0], signal.SIGKILL)
    released = clpd.beat_after(lambda packet: packet.service == "released")

    assert time.monotonic() - killed_at > 1.2
    assert released.daemon_age_ms > 1000
    assert (clpd.home / "release-ran").read_text() == "x"
    clpd.forget("refuse")
    clpd.beat_after(lambda packet: packet.service == "online")
    assert len(clpd.daemons()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", ["release-fails", "release-hangs"])
def test_release_that_fails_is_not_called_released_and_is_tried_again(clpd: Clpd, how: str) -> None:
    time.sleep(1)
    clpd.touch("refuse")
    clpd.touch(how)
    os.kill(clpd.daemons()[0][0], signal.SIGKILL)
    until(lambda: "Groups may still be active here" in clpd.log())

    assert {beat.service for beat in clpd.beats(0.5)} == {"online"}
    clpd.forget(how)
    clpd.beat_after(lambda packet: packet.service == "released")
    assert (clpd.home / "release-ran").read_text() == "xx"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_heartbeat_child_is_replaced_and_goes_on_with_the_last_words(clpd: Clpd, number: int) -> None:
    before = clpd.beats(0.2)[-1]
    child = clpd.children()["child"]
    os.kill(child, number)
    until(lambda: clpd.children().get("child", child) != child)
    after = clpd.beat_after(lambda packet: packet.seq > before.seq + 10)

    assert (after.service, after.epoch, after.incarnation) == (before.service, before.epoch, before.incarnation)
    assert len(clpd.daemons()) == 1


@pytest.mark.slow
def test_stop_lets_the_daemon_stop_and_says_goodbye(clpd: Clpd) -> None:
    pids = list(clpd.children().values())
    clpd.process.terminate()
    last = clpd.beat_after(lambda packet: packet.service == "stopped")

    assert clpd.process.wait(PATIENCE_S) == 0
    assert last.seq > 0
    assert (clpd.home / "stopped").exists()
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []
    assert clpd.unlocked()


@pytest.mark.slow
def test_stop_on_a_busy_machine_ends_well(clpd: Clpd) -> None:
    """What is left is stopped more slowly than the child may take to end; that is no reason to kill oneself."""
    clpd.touch("release-is-slow")
    clpd.process.terminate()

    assert clpd.process.wait(PATIENCE_S) == 0
    assert clpd.log().splitlines()[-1].endswith("clpd ended.")
    assert clpd.unlocked()


@pytest.mark.slow
def test_death_of_the_supervisor_stops_the_service_and_leaves_nothing(clpd: Clpd) -> None:
    clpd.process.kill()
    clpd.process.wait(PATIENCE_S)
    until(clpd.unlocked)

    assert (clpd.home / "stopped").exists()  # The kernel told the daemon.
    assert (clpd.home / "release-ran").exists()  # It had not said that all is down.


@pytest.mark.slow
def test_second_clpd_is_refused(clpd: Clpd) -> None:
    code, text = clpd.fail()

    assert (code, text) == (75, f"clpd: clpd of {clpd.places.run} runs already (process {clpd.process.pid}).\n")
    assert {beat.service for beat in clpd.beats(0.3)} == {"online"}


@pytest.mark.slow
def test_supervisor_is_small(clpd: Clpd) -> None:
    def pss_kb(pid: int) -> int:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    assert pss_kb(clpd.process.pid) < 14_000
    assert pss_kb(clpd.children()["child"]) < 14_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda c: (c.home / "etc/server").write_text("other"), "This server is other, but"),
        (lambda c: c.write_key(b"short", 0o600), "must hold 16 to 4096 bytes, it holds 5."),
        (lambda c: c.write_key(KEY, 0o644), "can be read by others than its owner. chmod 600"),
        (lambda c: Path(c.places.key).unlink(), "is missing. Make one"),
        (lambda c: (c.home / "model.json").unlink(), "cannot be used:\n/bin/cat: "),
        (
            lambda c: c.environ.update(OPENCLP_FENCE="maybe"),
            "it can be reboot, report, none.",
        ),
    ],
)
def test_bad_configuration_is_refused_with_its_findings(tmp_path: Path, spoil: Any, said: str) -> None:
    it = Clpd(tmp_path)
    it.close()
    spoil(it)

    code, text = it.fail()

    assert code == 78
    assert said in text
    assert KEY.decode() not in text


def facts(**changes: Any) -> Facts:
    model = msgspec.json.decode(msgspec.json.encode(cluster(**changes)))
    return facts_of(model, "server1", KEY, paths({}), "")


def test_facts_are_those_of_the_model() -> None:
    found = facts(
        resolvers=(PartitionResolver(name="majonp1", type="majonp", priority=0, device=0),), self_fencing=True
    )

    assert found == Facts(
        "server1", "demo", ["server1", "server2"], ["lanhb1"],
        {"server1": {"lanhb1": OWN}, "server2": {"lanhb1": PEER}}, derive_key(KEY).hex(),
        0.05, 2.0, 1.5, majority=True, fence="reboot",
    )  # fmt: skip


def test_two_heartbeats_over_one_address_are_one_path() -> None:
    twice = tuple(Heartbeat(name=f"lanhb{n}", type="lanhb", priority=n, device=0) for n in (1, 2))

    assert facts(heartbeats=twice).paths == ["lanhb1"]


NAMELESS = Server(name="b", priority=2, devices=(Device(id=0, type="lan", info="x"),))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"heartbeats": ()}, "server1 has no LAN heartbeat"),
        ({"servers": cluster().servers[1:]}, "knows only server2"),
        (
            {
                "servers": (
                    *cluster().servers[:1],
                    Server(name="b", priority=2, devices=(Device(id=0, type="lan", info="x"),)),
                )
            },
            "the device of b for lanhb1 is 'x'; it must be an IP address",
        ),
    ],
)
def test_facts_that_cannot_work_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        facts(**changes)


def test_incarnation_rises_whatever_the_clock_says(tmp_path: Path) -> None:
    path = str(tmp_path / "incarnation")

    assert [next_incarnation(path, wall) for wall in (1000.5, 1000.5, 500.0, 2000.0)] == [1000, 1001, 1002, 2000]
    Path(path).write_text("damaged\xff")
    assert next_incarnation(path, 3000.0) == 3000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["incarnation"]
