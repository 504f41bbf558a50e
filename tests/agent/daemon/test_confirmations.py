"""What arbiters confirm keeps the lease of a real heartbeat child, and its end ends it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon.confirmations import Confirmations
from agent.daemon.heartbeat_lan import steady
from tests.agent.daemon.heartbeat_lans import Child, Lans, Speaker
from tests.agent.waiting import until


class ArbiterChild:
    """Confirms what was sent just now, until it is told to stop."""

    def __init__(self, path: str, incarnation: int = 5, late_s: float = 0.0) -> None:
        self._path = path
        self._incarnation = incarnation
        self._late_s = late_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            while not self._ended.wait(0.05):
                message = {"arbiter": "httpnp1", "sent_at": steady() - self._late_s, "incarnation": self._incarnation}
                out.sendto(json.dumps(message).encode(), self._path)

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return steady()


def lease(daemon: Speaker) -> list[str]:
    return [name for _, name, _ in daemon.verdicts("LeaseHeld", "LeaseLost")]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Child, Speaker, str]]:
    """server1, which hears nobody, of an electorate with a witness."""
    lans = Lans(1)
    path = str(tmp_path / "confirm.sock")
    child = Child(lans.nodes[0], tmp_path, 0, confirm=path)
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        end.connect(child.socket)
        daemon = Speaker(end)
        daemon.say(
            op="beat", epoch=[1, 0], service="online", members=["server1"], holding=True,
            electorates=[["server1", "server2", "httpnp1"]],
        )  # fmt: skip
        yield child, daemon, path
    finally:
        end.close()
        child.close()
        lans.close()


@pytest.mark.root
@pytest.mark.slow
def test_lease_holds_while_the_witness_confirms_and_no_longer(alone: tuple[Child, Speaker, str]):
    _, daemon, path = alone
    witness = ArbiterChild(path)
    until(lambda: lease(daemon)[-1:] == ["LeaseHeld"])
    stopped_at = witness.stop()
    until(lambda: lease(daemon)[-1:] == ["LeaseLost"])
    lost_at = daemon.verdicts("LeaseLost")[-1][0]
    assert lost_at - stopped_at > 0.5 * 0.5

    until(lambda: daemon.verdicts("SelfFence") or daemon.of("fenced"))
    again = ArbiterChild(path)
    until(lambda: lease(daemon)[-1:] == ["LeaseHeld"])
    again.stop()


@pytest.mark.root
@pytest.mark.slow
def test_confirmation_of_an_old_beat_or_of_another_start_is_none(alone: tuple[Child, Speaker, str]):
    _, daemon, path = alone
    until(lambda: lease(daemon)[-1:] == ["LeaseLost"])
    others = [ArbiterChild(path, incarnation=4), ArbiterChild(path, late_s=0.5), ArbiterChild(path, late_s=-60.0)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as rubbish:
        for data in (b"", b"{}", b"[]", b"\xff", b'{"arbiter":1,"sent_at":"x","incarnation":5}'):
            rubbish.sendto(data, path)
    before = len(daemon.of("gaps"))
    until(lambda: len(daemon.of("gaps")) > before)
    for other in others:
        other.stop()

    assert "LeaseHeld" not in lease(daemon)[lease(daemon).index("LeaseLost") :]


def test_only_the_owner_may_speak(tmp_path: Path):
    path = tmp_path / "confirm.sock"
    it = Confirmations(str(path), 1)

    assert path.stat().st_mode & 0o777 == 0o600
    assert it.read(steady()) == []
    it.socket.close()
    Confirmations(str(path), 2).socket.close()  # The one before was killed and left its name.
