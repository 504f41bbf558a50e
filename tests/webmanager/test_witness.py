"""The manager as a witness: the same rules as clpwitness, one promise for all of its processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.wire import witness as wire
from agent.wire.epoch import Epoch
from tests.agent.daemon.arbiters import arbiter_process, witness_at
from tests.agent.daemon.heartbeat_lans import until
from tests.agent.witness.servers import SECRET, Speaker, get
from tests.webmanager.stack import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def known(environment: dict[str, str], cluster: str) -> str:
    """A cluster that this manager is a witness of."""
    from webmanager.witness import services

    assert services.add(cluster=cluster, secret=SECRET)
    return cluster


@pytest.fixture
def speakers(known: str) -> Iterator[Any]:
    """speakers(port, server)"""
    with contextlib.ExitStack() as stack:
        yield lambda port, server, **more: stack.enter_context(
            contextlib.closing(Speaker(port, server, cluster=known, **more))
        )


def test_promise_and_beats_are_those_of_all_processes(manager: Any, second: Any, speakers: Any):
    one, two = speakers(manager.port, "server1"), speakers(second.port, "server2")
    assert one.beat().record == wire.Record()
    assert one.propose(1, "server1", "server2").granted
    assert two.beat().record.epoch == Epoch(1, 0)
    assert set(two.beat().heard_s) == {"server1", "server2"}
    assert one.propose(2, "server1").granted

    refused = two.propose(3, "server2")

    assert (refused.granted, refused.promised) == (False, Epoch(2, 0))
    assert "server1 was heard" in refused.detail


def test_of_many_who_ask_at_once_one_is_granted(manager: Any, second: Any, speakers: Any):
    first = speakers(manager.port, "server0")
    servers = [f"server{n}" for n in range(8)]
    assert first.propose(1, *servers).granted
    answers: list[wire.Answer] = []

    def ask(number: int) -> None:
        # Whoever is granted counts as alive for as long as the test may take.
        speaker = speakers((manager.port, second.port)[number % 2], servers[number], timeout_s=60.0)
        speaker.beat()
        answers.append(speaker.propose(10 + number, servers[number]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(answers) == 7
    assert [answer.granted for answer in answers].count(True) == 1


def test_kill_of_the_process_forgets_nothing(manager: Any, second: Any, speakers: Any):
    one, two = speakers(second.port, "server1"), speakers(manager.port, "server2")
    one.propose(5, "server1")
    one.beat()
    second.kill()
    try:
        assert two.beat().record.epoch == Epoch(5, 0)
        assert two.propose(6, "server2").granted is False
    finally:
        second.start()


def test_another_boot_or_machine_knows_nothing_of_beats(manager: Any, known: str, speakers: Any):
    from webmanager.witness.models import Witness

    one = speakers(manager.port, "server1")
    one.propose(5, "server1")
    one.beat()
    Witness.objects.filter(cluster=known).update(boot="another")
    life = one.life

    told = one.beat()

    assert one.life != life
    assert told.record.epoch == Epoch(5, 0)
    answer = one.propose(6, "server1")
    assert answer.granted


def test_damaged_promise_is_no_promise_given(manager: Any, known: str, speakers: Any):
    from webmanager.witness.models import Witness

    one = speakers(manager.port, "server1")
    one.propose(5, "server1")
    Witness.objects.filter(cluster=known).update(promise={"record": 1})

    status, body = one.post("beat", wire.encode_beat(wire.Beat(*one.head())))

    assert (status, "is damaged" in wire.decode_error(body)[0]) == (503, True)


def test_strangers_are_told_nothing(manager: Any, known: str, speakers: Any):
    body = wire.encode_beat(wire.Beat("server1", 1, 1, "", 1.0))
    stranger = speakers(manager.port, "server1", secret=bytes(32))

    assert {stranger.post("beat", body), stranger.post("beat", body, cluster="nobody")} == {
        (401, wire.encode_error("This witness does not know the cluster, or the secret is another one "
                                "(clpwitness secret prints it)."))
    }  # fmt: skip
    assert stranger.post("beat", b"x" * (wire.BODY_BYTES + 1))[0] == 413
    assert manager.call("GET", f"/witness/v1/{known}/beat")[0] == 405
    assert manager.call("GET", f"/witness/v1/{known}")[0] == 401


def test_people_look_with_the_view_token(manager: Any, known: str, speakers: Any):
    speakers(manager.port, "server1").beat()

    status, state = get(manager.port, wire.path_of(known), wire.view_token(SECRET))

    assert (status, state["cluster"], list(state["servers"])) == (200, known, ["server1"])


def test_real_arbiter_child_is_confirmed_by_the_manager(manager: Any, known: str, tmp_path: Path):
    witness = witness_at(manager.port)
    with arbiter_process(tmp_path, "server1", witness, cluster=known, timeout_s=2.0, interval_s=0.2) as one:
        one.connect()
        until(lambda: one.state("httpnp1")["ok"])
        assert one.answer("httpnp1", 1, "server1")["granted"]

        assert one.wait_confirmed("httpnp1")


def test_command_adds_lists_and_removes(environment: dict[str, str], cluster: str):
    def run(*words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        import os

        command = [sys.executable, str(ROOT / "manage.py"), "witness", *words]
        return subprocess.run(
            command, input=said, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
        )

    line = f"{cluster} {SECRET.hex()}\n"
    assert run("add", said=line).stdout == f"This manager is now a witness of {cluster}.\n"
    assert run("add", said=line).stdout == f"This manager is still a witness of {cluster}.\n"
    assert f"{cluster:<20} nothing promised" in run("list").stdout
    assert run("remove", cluster).returncode == 0
    assert "is not known here" in run("remove", cluster).stderr
    assert "as `clpwitness secret` prints it" in run("add", said="nonsense\n").stderr
