"""The arbiter child as a real process, against real witnesses, real sockets and a shared disk in a file."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.arbiter_client import ArbiterClient
from agent.daemon.arbiter_settings import arbiters_of
from agent.daemon.heartbeat_lan import steady
from agent.engine.effects import AskArbiter
from agent.engine.events import ArbiterAnswer, ResolverState
from agent.wire import witness as wire
from agent.wire.epoch import Epoch
from agent.wire.peer import Ballot
from tests.agent.daemon.arbiters import INTERVAL_S, TIMEOUT_S, arbiter_process, disk_at, make_disk, witness_at
from tests.agent.waiting import until, until_true
from tests.agent.witness.servers import SECRET, WitnessProcess, get, witness_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

BOTH = ("server1", "server2")


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessProcess]:
    with witness_process(tmp_path) as it:
        yield it


def heard(witness: WitnessProcess) -> dict[str, Any]:
    return dict(get(witness.port, wire.path_of("demo"), wire.view_token(SECRET))[1]["servers"])


@pytest.fixture(params=["witness", "disk"])
def arbiter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Either kind: both keep the same rules."""
    if request.param == "disk":
        yield disk_at(make_disk(tmp_path))
    else:
        with witness_process(tmp_path) as it:
            yield witness_at(it.port)


def test_promise_confirms_members_and_leaves_out_others(tmp_path: Path, arbiter: dict[str, Any]):
    name = arbiter["name"]
    with arbiter_process(tmp_path, "server1", arbiter) as one, arbiter_process(tmp_path, "server2", arbiter) as two:
        for child in (one, two):
            child.connect()
            until(lambda c=child: c.state(name)["ok"])
        assert not one.is_confirmed_for(name, 0.2)

        first = one.answer(name, 1, *BOTH)
        assert (first["granted"], first["epoch"], first["promised"]) == (True, [1, 0], [1, 0])
        now = steady()
        assert one.wait_confirmed(name) > now
        assert two.wait_confirmed(name) > now

        second = one.answer(name, 2, "server1")
        assert (second["granted"], second["before"]["open"]) == (True, [[[1, 0], [*BOTH, name]]])
        assert second["heard_s"]["server2"] < TIMEOUT_S
        assert not two.is_confirmed_for(name, 3 * INTERVAL_S)
        refused = two.answer(name, 3, "server2")
        assert (refused["granted"], refused["promised"]) == (False, [2, 0])
        assert "server1 was heard" in refused["detail"]
        assert one.wait_confirmed(name)
        assert two.state(name)["ok"]  # It answers, though not as one would like.


def test_takes_over_when_the_other_has_not_been_heard_for_a_timeout(tmp_path: Path, arbiter: dict[str, Any]):
    name = arbiter["name"]
    with arbiter_process(tmp_path, "server1", arbiter) as one, arbiter_process(tmp_path, "server2", arbiter) as two:
        one.connect()
        two.connect()
        assert one.answer(name, 1, "server1")["granted"]
        one.wait_confirmed(name)
        one.kill()
        killed_at = steady()
        answers = []
        until(lambda: answers.append(two.answer(name, 10 + len(answers), "server2")) or answers[-1]["granted"])

        assert steady() - killed_at > 0.7 * TIMEOUT_S
        assert answers[-1]["heard_s"].get("server1") is None


def test_beats_are_confirmed_each_interval_by_their_sending_time(tmp_path: Path, arbiter: dict[str, Any]):
    name = arbiter["name"]
    with arbiter_process(tmp_path, "server1", arbiter) as one:
        one.connect()
        one.answer(name, 1, "server1")
        since = steady()
        times: list[float] = []
        until(lambda: times.extend(one.confirmed(name, since)) or len(times) >= 20)

    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) > 0
    assert sorted(gaps)[len(gaps) // 2] < 10 * INTERVAL_S


def test_silent_until_a_daemon_has_spoken_and_after_its_death_goes_on(tmp_path: Path, witness: WitnessProcess):
    with arbiter_process(tmp_path, "server1", witness_at(witness.port)) as one:
        one.connect("")
        until(lambda: len(one.control.of("alive")) >= 2)
        assert heard(witness) == {}
        one.daemon.say(op="beat", service="online")
        one.answer("httpnp1", 1, "server1")
        one.daemon.end.close()
        time.sleep(2 * INTERVAL_S)
        assert one.wait_confirmed("httpnp1")

        assert heard(witness)["server1"]["stopped"] is False
        again = one.connect("")
        until(lambda: one.state("httpnp1")["ok"])
        assert again.of("answer") == []  # It was to a question of another daemon.


def test_next_child_goes_on_with_the_words_of_the_last(tmp_path: Path, witness: WitnessProcess):
    with arbiter_process(tmp_path, "server1", witness_at(witness.port)) as one:
        one.connect()
        one.answer("httpnp1", 1, "server1")
        words = until(lambda: [m["words"] for m in one.control.of("alive") if m["words"]["service"]])[-1]
        one.kill()
        one.start(**words)

        assert one.wait_confirmed("httpnp1")


@pytest.mark.parametrize("op", ["stop", "released"])
def test_end_is_told_to_the_witness_so_that_nobody_waits(tmp_path: Path, witness: WitnessProcess, op: str):
    with arbiter_process(tmp_path, "server1", witness_at(witness.port)) as one:
        one.connect()
        until(lambda: "server1" in heard(witness))
        one.control.say(op=op)

        until(lambda: heard(witness)["server1"]["stopped"])
        if op == "stop":
            assert one.wait() == 0
        else:
            assert not one.is_confirmed_for("httpnp1", 0.2)


def test_without_supervisor_it_lives_as_long_as_the_heartbeats(tmp_path: Path, witness: WitnessProcess):
    with arbiter_process(tmp_path, "server1", witness_at(witness.port)) as one:
        one.connect()
        one.answer("httpnp1", 1, "server1")
        one.control.end.close()
        time.sleep(1.5)
        assert one.wait_confirmed("httpnp1")

        one.heartbeat.socket.close()
        assert one.wait(20) == 0


def test_one_of_two_that_hangs_delays_not_the_other(tmp_path: Path, witness: WitnessProcess):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        silent = {**witness_at(deaf.getsockname()[1]), "name": "httpnp2"}
        disk = disk_at(make_disk(tmp_path))
        with arbiter_process(tmp_path, "server1", witness_at(witness.port), silent, disk) as one:
            one.connect()
            assert one.answer("httpnp1", 1, "server1")["granted"]
            assert one.answer("disknp1", 1, "server1")["granted"]
            until(lambda: one.state("httpnp2")["ok"] is False)
            one.ask("httpnp2", 1, "server1")

            assert one.state("httpnp2")["detail"].endswith("no answer in time")
            assert one.wait_confirmed("httpnp1")
            assert one.wait_confirmed("disknp1")


def test_lost_and_found_witness_is_told_once_each(tmp_path: Path, witness: WitnessProcess):
    with arbiter_process(tmp_path, "server1", witness_at(witness.port)) as one:
        one.connect()
        one.answer("httpnp1", 1, "server1")
        witness.send(signal.SIGSTOP)
        until(lambda: one.state("httpnp1")["ok"] is False)
        witness.send(signal.SIGCONT)
        until(lambda: one.state("httpnp1")["ok"])
        witness.stop(signal.SIGKILL)
        until(lambda: one.state("httpnp1")["ok"] is False)
        assert "Connection refused" in one.state("httpnp1")["detail"]
        witness.start()
        until(lambda: one.state("httpnp1")["ok"])

        assert [m["ok"] for m in one.daemon.of("state")][-4:] == [False, True, False, True]
        assert one.wait_confirmed("httpnp1")  # With the promise that the witness has kept.


@pytest.mark.parametrize(
    ("secret", "said"), [(bytes(32), "does not know the cluster, or the secret is another one"), (SECRET, "")]
)
def test_wrong_secret_is_named(tmp_path: Path, witness: WitnessProcess, secret: bytes, said: str):
    with arbiter_process(tmp_path, "server1", witness_at(witness.port), secret=secret.hex()) as one:
        one.connect()
        until(lambda: one.state("httpnp1")["ok"] is not None)

        assert one.state("httpnp1")["ok"] is not bool(said)
        assert said in one.state("httpnp1")["detail"]


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s"
TOLD = wire.encode_told(wire.Told(wire.Record(Epoch(1, 0), BOTH, BOTH, ((Epoch(1, 0), BOTH),)), {}))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (ANSWER % (len(TOLD), b"", TOLD), "not signed with the secret"),
        (ANSWER % (len(TOLD), b"Openclp-Signature: " + b"0" * 64 + b"\r\n", TOLD), "not signed with the secret"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login/\r\nContent-Length: 0\r\n\r\n", "it answers 302"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "not HTTP/1.1 with a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "it answers too much"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP/1.1 with a length"),
        (b"x" * 20000, "it answers too much"),
        (b"", "it closed the connection"),
    ],
)
def test_whoever_is_no_witness_is_not_believed(tmp_path: Path, reply: bytes, said: str):
    with _always(reply) as port, arbiter_process(tmp_path, "server1", witness_at(port)) as one:
        one.connect()
        # On a busy machine the first answers may be missed.
        until(lambda: one.state("httpnp1")["ok"] is False and said in one.state("httpnp1")["detail"])

        assert one.heartbeat.read(steady()) == []


@contextlib.contextmanager
def _always(reply: bytes) -> Iterator[int]:
    """Something that answers every request so."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(30)


def test_answer_of_yesterday_is_not_believed(tmp_path: Path, witness: WitnessProcess):
    """A man in the middle repeats what the witness once said."""
    recorded: list[bytes] = []
    middle = socket.create_server(("127.0.0.1", 0))

    def repeat() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = middle.accept()
                with connection, socket.create_connection(("127.0.0.1", witness.port)) as far:
                    while request := connection.recv(65536):
                        if len(recorded) < 3:
                            far.sendall(request)
                            recorded.append(far.recv(65536))
                        connection.sendall(recorded[-1])

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    with arbiter_process(tmp_path, "server1", witness_at(middle.getsockname()[1])) as one:
        one.connect()
        until(lambda: one.state("httpnp1")["ok"])
        until(lambda: one.state("httpnp1")["ok"] is False)
        assert "not signed" in one.state("httpnp1")["detail"]
    middle.shutdown(socket.SHUT_RDWR)
    middle.close()
    thread.join(30)


def test_name_that_nobody_knows_and_a_known_one(tmp_path: Path, witness: WitnessProcess):
    unknown = {**witness_at(80, "no.such.host.invalid"), "name": "httpnp2"}
    with arbiter_process(tmp_path, "server1", witness_at(witness.port, "localhost"), unknown) as one:
        one.connect()
        until(lambda: one.state("httpnp1")["ok"])
        until(lambda: one.state("httpnp2")["ok"] is False)

        assert "no.such.host.invalid" in one.state("httpnp2")["detail"]


def test_arbiter_that_is_not_used_here_says_so(tmp_path: Path):
    unused = {**disk_at(""), "unused": "server1 has no such device"}
    with arbiter_process(tmp_path, "server1", unused) as one:
        one.connect()
        until(lambda: one.state("disknp1")["ok"] is False)
        one.ask("disknp1", 1, "server1")
        one.ask("nobody", 1, "server1")

        assert one.state("disknp1")["detail"] == "server1 has no such device"


@pytest.mark.parametrize(
    "message",
    [{"op": "beat"}, {"op": "beat", "service": "x"}, {"op": "ask", "name": "httpnp1", "epoch": ["a", 1]}, {"no": "op"}],
)
def test_daemon_that_talks_rubbish_is_cut_off_and_the_next_is_heard(tmp_path: Path, message: dict[str, Any]):
    with arbiter_process(tmp_path, "server1", witness_at(1)) as one:
        one.connect("")
        one.daemon.say(**message)
        until(lambda: one.daemon.read() or one.daemon.closed)
        one.connect()

        until(lambda: one.state("httpnp1")["ok"] is False)


def test_facts_name_what_each_server_asks():
    device = {"id": 10100, "type": "disknp", "info": "/dev/sdb1"}
    zero = {"id": 10701, "type": "http", "info": "0"}
    model = {
        "servers": [{"name": "server1", "devices": [device, zero]}, {"name": "server2", "devices": []}],
        "resolvers": [
            {"name": "httpnp1", "type": "httpnp", "device": 10700, "values": {"host": "[fd00::9]", "port": "81"}},
            {"name": "httpnp2", "type": "httpnp", "device": 10701, "values": {"host": "w"}},
            {"name": "disknp1", "type": "disknp", "device": 10100, "values": {}},
            {"name": "majonp1", "type": "majonp", "device": 0, "values": {}},
        ],
    }

    one, two = arbiters_of(model, "server1"), arbiters_of(model, "server2")

    assert one[0] == {"name": "httpnp1", "type": "httpnp", "host": "fd00::9", "port": 81}
    assert "does not use this witness" in one[1]["unused"]
    assert one[2] == {"name": "disknp1", "type": "disknp", "path": "/dev/sdb1"}
    assert "unused" not in two[1]
    assert "server2 has no device 10100" in two[2]["unused"]


async def test_client_turns_words_into_events_and_survives_the_child(tmp_path: Path, witness: WitnessProcess):
    events: list[Any] = []
    with arbiter_process(tmp_path, "server1", witness_at(witness.port)) as one:
        client = ArbiterClient(one.settings.socket, event=events.append)
        running = asyncio.create_task(client.run())
        client.beat("online")
        await until_true(lambda: events)
        epoch = Epoch(3, 0)
        client.ask(AskArbiter(name="httpnp1", epoch=epoch, members=BOTH, voters=(*BOTH, "httpnp1")))
        await until_true(lambda: len(events) == 2)
        one.kill()
        one.start()
        await until_true(lambda: heard(witness).get("server1", {}).get("heard_s_ago", 9) < 0.2)
        again = AskArbiter(name="httpnp1", epoch=Epoch(4, 0), members=BOTH, voters=(*BOTH, "httpnp1"))

        def answered() -> bool:
            client.ask(again)  # As the engine does: what is asked before the client has found the new child is lost.
            return len(events) >= 3

        await until_true(answered)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert events[0] == ResolverState(name="httpnp1", ok=True)
    assert isinstance(events[1], ArbiterAnswer)
    assert (events[1].epoch, events[1].granted, events[1].promised, events[1].ballots) == (epoch, True, epoch, ())
    assert events[2].ballots == (Ballot(epoch, (*BOTH, "httpnp1")),)
    assert {(type(event), event.epoch) for event in events[2:]} == {(ArbiterAnswer, Epoch(4, 0))}
