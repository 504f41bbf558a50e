"""clpwitness as a real process: who is let in, what is kept, what strangers can do."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.wire import witness as wire
from agent.wire.epoch import Epoch
from agent.witness.http import BURST_EACH, Rate
from agent.witness.store import PromiseFiles, StoreError, read_secrets
from tests.agent.daemon.shell import CLP_CONF
from tests.agent.witness.servers import KEY, ROOT, SECRET, Speaker, WitnessProcess, get, witness_process

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WitnessProcess]:
    """For tests that promise nothing."""
    with witness_process(tmp_path_factory.mktemp("witness")) as it:
        yield it


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessProcess]:
    with witness_process(tmp_path) as it:
        yield it


def test_beats_and_promises_over_http(witness: WitnessProcess):
    with (
        contextlib.closing(Speaker(witness.port, "server1")) as one,
        contextlib.closing(Speaker(witness.port, "server2")) as two,
    ):
        assert one.beat().record == wire.Record()
        assert one.propose(1, "server1", "server2").granted
        told = two.beat()
        voters = ("server1", "server2", "witness1")
        assert told.record == wire.Record(Epoch(1, 0), ("server1", "server2"), voters, ((Epoch(1, 0), voters),))
        assert set(told.heard_s) == {"server1", "server2"}
        assert one.propose(2, "server1").granted
        refused = two.propose(3, "server2")

    assert not refused.granted
    assert "server1 was heard" in refused.detail
    assert "runs view 2.0" in refused.detail


def test_promise_survives_a_kill_and_a_restarted_witness_waits(witness: WitnessProcess):
    with contextlib.closing(Speaker(witness.port, "server1")) as one:
        one.propose(4, "server1")
    witness.stop(signal.SIGKILL)
    witness.start()

    with contextlib.closing(Speaker(witness.port, "server2")) as two:
        refused = two.propose(9, "server2")
        assert (refused.granted, refused.before.epoch) == (False, Epoch(4, 0))
        assert "server1 was heard" in refused.detail


def test_promise_that_cannot_be_written_is_not_given(witness: WitnessProcess):
    with contextlib.closing(Speaker(witness.port, "server1")) as one:
        one.propose(1, "server1")
        # Root may write everywhere; a directory in the way stops anybody.
        (witness.state / "demo.json").unlink()
        (witness.state / "demo.json").mkdir()
        status, body = one.ask(
            "propose", lambda: wire.encode_ask(wire.Ask(*one.head(), Epoch(2, 0), ("server1",), ("server1",)))
        )

        assert status == 503
        assert "cannot store its promise" in wire.decode_error(body)[0]
        assert one.beat().record.epoch == Epoch(1, 0)
        (witness.state / "demo.json").rmdir()
        assert one.propose(2, "server1").granted


def test_damaged_promise_keeps_it_from_starting(witness: WitnessProcess):
    with contextlib.closing(Speaker(witness.port, "server1")) as one:
        one.propose(1, "server1")
    assert witness.stop() == 0
    (witness.state / "demo.json").write_text("{")

    done = run("--state", str(witness.state), "--secret-file", str(witness.secrets), "--listen", "127.0.0.1:0")

    assert done.returncode == 78
    assert "demo.json cannot be read" in done.stderr
    assert "while all servers of cluster demo are stopped, remove it" in done.stderr


def test_second_witness_with_the_same_state_is_refused(shared: WitnessProcess):
    done = run("--state", str(shared.state), "--secret-file", str(shared.secrets), "--listen", "127.0.0.1:0")

    assert (done.returncode, "Another witness runs" in done.stderr) == (78, True)


def test_wrong_secret_and_unknown_cluster_get_the_same_answer(shared: WitnessProcess):
    body = wire.encode_beat(wire.Beat("server1", 1, 1, "", 1.0))
    with contextlib.closing(Speaker(shared.port, "server1", secret=bytes(32))) as stranger:
        answers = {stranger.post("beat", body), stranger.post("beat", body, cluster="nobody")}

    assert [status for status, _ in answers] == [401]


def test_secret_of_one_cluster_opens_no_other(shared: WitnessProcess):
    body = wire.encode_beat(wire.Beat("server1", 1, 1, "", 1.0))
    with contextlib.closing(Speaker(shared.port, "server1")) as one:
        assert one.post("beat", body, cluster="other")[0] == 401


def test_request_that_was_recorded_counts_for_nothing(witness: WitnessProcess):
    with contextlib.closing(Speaker(witness.port, "server1")) as one:
        one.beat()
        recorded = wire.encode_beat(wire.Beat(*one.head()))
        assert one.post("beat", recorded)[0] == 200
        assert one.post("beat", recorded)[0] == 403
        witness.stop(signal.SIGKILL)
        witness.start()
        one.connection.close()
        assert one.post("beat", recorded)[0] == wire.OUTDATED_LIFE
        assert one.beat().heard_s.keys() == {"server1"}


def test_people_look_with_the_view_token(shared: WitnessProcess):
    with contextlib.closing(Speaker(shared.port, "server7")) as one:
        one.beat()
    path = wire.path_of("demo")

    status, state = get(shared.port, path, wire.view_token(SECRET))

    assert (status, state["cluster"], "server7" in state["servers"]) == (200, "demo", True)
    assert get(shared.port, path)[0] == 401
    assert get(shared.port, path, wire.view_token(bytes(32)))[0] == 401
    assert get(shared.port, "/")[0] == 404


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"HELLO\r\n\r\n", 400),
        (b"GET /witness/v1/demo HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: 1\r\nA: 2\r\n\r\n", 400),
        (b"POST /witness/v1/demo/beat HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /witness/v1/demo/beat HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411),
        (b"POST /witness/v1/demo/beat HTTP/1.1\r\nContent-Length: 70000\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"PUT /witness/v1/demo HTTP/1.1\r\nConnection: close\r\n\r\n", 405),
        (b"GET /\xff HTTP/1.0\r\n\r\n", 404),
    ],
)
def test_malformed_http_is_answered_and_closed(shared: WitnessProcess, sent: bytes, status: int):
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as stranger:
        stranger.sendall(sent)
        answer = b""
        while block := stranger.recv(4096):
            answer += block

    assert answer.split()[1] == str(status).encode()
    assert b"error" in answer


def test_flood_of_one_address_is_slowed_down_and_others_are_not():
    rate = Rate()
    allowed = sum(rate.allows("10.0.0.1", 5.0) for _ in range(5000))

    assert allowed == BURST_EACH
    assert rate.allows("10.0.0.2", 5.0)
    assert rate.allows("10.0.0.1", 6.0)


def test_secret_line_is_made_from_the_cluster_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "cluster.key").write_bytes(KEY + b"\n")
    (tmp_path / "cluster.key").chmod(0o600)
    (tmp_path / "clp.conf").write_bytes(CLP_CONF.replace(b"<name>c</name>", b"<name>demo</name>"))
    monkeypatch.setenv("OPENCLP_ETC", str(tmp_path))

    done = run("secret")

    assert done.stdout == f"demo {SECRET.hex()}\n"
    assert wire.view_token(SECRET) in done.stderr


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (f"demo {SECRET.hex()}", 0o644, "can be read by others"), ("", 0o600, "names no cluster"),
        ("demo 1234", 0o600, "line 1: this must be CLUSTER SECRET"), ("# nothing\n\nx", 0o600, "line 3"),
        (f"a/b {SECRET.hex()}", 0o600, "line 1"),
        ("\n".join(f"c{n} {SECRET.hex()}" for n in range(257)), 0o600, "256 are possible"),
    ],
)  # fmt: skip
def test_secret_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, mode: int, said: str):
    path = tmp_path / "secrets"
    path.write_text(text)
    path.chmod(mode)

    with pytest.raises(StoreError, match=said):
        read_secrets(path)


def test_any_cluster_has_a_file_of_its_own(tmp_path: Path):
    files = PromiseFiles(tmp_path)
    names = ["demo", "Demo 1", "../x", "日本", ".", "x" * 200]
    for name in names:
        files.write(name, files.read(name))

    assert len(list(tmp_path.glob("*.json"))) == len(names)
    assert json.loads((tmp_path / "demo.json").read_text())["timeout_s"] == 0.0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    import os

    command = [sys.executable, "-m", "agent.witness.server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": ROOT})
