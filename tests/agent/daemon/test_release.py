"""The emergency stopper, as the supervisor runs it, and what a later daemon makes of the state."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.clpconf.model import Activation, Cluster, Group, Resource, Server
from agent.daemon.paths import Paths
from agent.daemon.running import RUNNING, Running, write_running
from agent.daemon.setup import FACTS, _inherit
from agent.daemon.state import Stored, read_state
from agent.drivers.machine import boot_id

STEP = Activation(timeout_s=5, retry=1)


class Server1:
    """The directories of one agent whose daemon is dead."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = Paths(*(str(root / name) for name in ("etc", "state", "run", "log")))
        self.places.make()
        (root / "etc/server").write_text("server1\n")
        resources = tuple(
            Resource(name=name, type="exec", activation=STEP, deactivation=STEP, depends=())
            for name in ("below", "above", "other")
        )
        cluster = Cluster(
            name="c", servers=(Server(name="server1", priority=0),), resources=resources,
            groups=(
                Group(name="g1", resources=("below", "above"), policy=("server1",)),
                Group(name="g2", resources=("other",), policy=("server1",)),
            ),
        )  # fmt: skip
        write_running(Path(self.places.state) / RUNNING, Running(incarnation=5, config=b"", cluster=cluster))

    def script(self, group: str, name: str, text: str) -> None:
        path = self.root / "etc/scripts" / group / name / "stop.sh"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def store(self, *held: str, boot: str = "") -> None:
        engine = {"promised": [4, 1], "local": {"service": "online", "groups": {}}}
        stored = Stored(boot_id=boot or boot_id(), incarnation=5, held=list(held), engine=engine)
        Path(self.places.state_file).write_bytes(msgspec.json.encode(stored))

    def stored(self) -> Stored:
        found = read_state(Path(self.places.state_file))
        assert found is not None
        return found

    def release(self) -> subprocess.CompletedProcess[str]:
        environ = {
            **os.environ, "OPENCLP_ETC": self.places.etc, "OPENCLP_STATE": self.places.state,
            "OPENCLP_RUN": self.places.run, "OPENCLP_LOG": self.places.log,
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "agent.daemon.release"], env=environ, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Server1:
    made = Server1(tmp_path)
    for group, name in (("g1", "below"), ("g1", "above"), ("g2", "other")):
        made.script(group, name, f'echo {name} "$CLP_FACTOR" >> {tmp_path}/order')
    return made


def lines(server: Server1) -> list[str]:
    place = server.root / "order"
    return place.read_text().splitlines() if place.exists() else []


@pytest.mark.slow
def test_everything_held_goes_down_newest_first(server: Server1):
    server.store("below", "other", "above")
    done = server.release()

    assert (done.returncode, done.stderr) == (0, "")
    assert [x for x in lines(server) if not x.startswith("other")] == ["above GROUPFAILOVER", "below GROUPFAILOVER"]
    assert "other GROUPFAILOVER" in lines(server)
    assert server.stored().held == []
    assert server.stored().released is True
    assert server.stored().engine is not None
    assert "cp:13" in (server.root / "log/agent.log").read_text()


@pytest.mark.slow
def test_one_failure_keeps_the_others_from_nothing_and_is_told(server: Server1):
    server.script("g1", "above", f"echo try >> {server.root}/tries; exit 9")
    server.store("below", "above", "other")
    done = server.release()

    assert done.returncode == 1
    assert sorted(lines(server)) == ["below GROUPFAILOVER", "other GROUPFAILOVER"]
    assert (server.root / "tries").read_text() == "try\ntry\n"  # One retry, as configured.
    assert server.stored().held == ["above"]
    log = (server.root / "log/agent.log").read_text()
    assert "cp:32" in log
    assert "above" in log


@pytest.mark.slow
def test_groups_go_down_side_by_side(server: Server1):
    """Each script waits until the other one has begun."""
    for group, name, other in (("g1", "above", "other"), ("g2", "other", "above")):
        wait = f"until [ -e {server.root}/{other}.began ]; do sleep 0.02; done"
        server.script(group, name, f"touch {server.root}/{name}.began; {wait}")
    server.store("above", "other")

    assert server.release().returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("held", [(), ("above",)])
def test_nothing_to_do_is_a_success(server: Server1, held: tuple[str, ...]):
    server.store(*held, boot="another boot")
    assert server.release().returncode == 0
    assert lines(server) == []


@pytest.mark.slow
def test_damaged_state_is_told_and_what_is_found_active_goes_down(server: Server1):
    Path(server.places.state_file).write_bytes(b'{"held": ["abo')
    facts = {"below": {"active": "1"}, "above": {"active": "1"}, "other": {"active": ""}}
    place = Path(server.places.state) / FACTS
    place.write_bytes(msgspec.json.encode({"boot_id": boot_id(), "facts": facts}))
    done = server.release()

    assert done.returncode == 0
    assert lines(server) == ["above GROUPFAILOVER", "below GROUPFAILOVER"]
    assert "state.json is damaged" in done.stderr
    assert Path(server.places.state_file).read_bytes() == b'{"held": ["abo'


@pytest.mark.slow
def test_damaged_state_without_a_configuration_is_a_failure_with_a_remedy(server: Server1):
    Path(server.places.state_file).write_bytes(b'{"held": ["abo')
    (Path(server.places.state) / RUNNING).unlink()
    done = server.release()

    assert done.returncode == 1
    assert "nobody knows what is active here" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_lost_configuration_is_a_failure_that_names_what_runs(server: Server1):
    (Path(server.places.state) / RUNNING).unlink()
    server.store("above")
    done = server.release()

    assert done.returncode == 1
    assert "above" in done.stderr


ENGINE = {"promised": [4, 1], "local": {"service": "online"}}


def earlier(**changes: object) -> Stored:
    return msgspec.structs.replace(Stored(boot_id="b", incarnation=5, held=["fip1"], engine=dict(ENGINE)), **changes)


def test_daemon_of_the_same_incarnation_adopts():
    stored, saved, adopts = _inherit(earlier(), "b", 5)

    assert adopts is True
    assert saved == ENGINE
    assert stored.held == ["fip1"]


def test_new_incarnation_keeps_promises_and_has_to_put_down_what_is_left():
    stored, saved, adopts = _inherit(earlier(), "b", 6)

    assert adopts is False
    assert saved == {"promised": [4, 1]}
    assert stored == Stored(boot_id="b", incarnation=6, held=["fip1"], engine={"promised": [4, 1]})


def test_after_a_release_nothing_is_adopted():
    stored, saved, adopts = _inherit(earlier(released=True, held=[]), "b", 5)

    assert adopts is False
    assert saved == {"promised": [4, 1]}
    assert stored.released is False


def test_new_boot_holds_nothing_but_its_promises():
    stored, saved, adopts = _inherit(earlier(), "c", 6)

    assert (adopts, stored.held, saved) == (False, [], {"promised": [4, 1]})


def test_first_start():
    assert _inherit(None, "b", 1) == (Stored(boot_id="b", incarnation=1), {}, False)
