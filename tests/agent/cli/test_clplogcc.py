"""clplogcc and clplogcmd against a real control socket; the other server answers as the test lets it."""

from __future__ import annotations

import asyncio
import json
import re
import tarfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli import clplogcc, clplogcmd
from agent.daemon.collection import Collections
from agent.daemon.collection_work import collect
from agent.daemon.control import ControlSocket
from agent.daemon.paths import paths
from agent.wire.logs.timeline import Clock, merge, newest_failover, text
from agent.wire.report import Note
from tests.agent.daemon.shell import CLP_CONF, StandIn

AHEAD_S = 3600.0


def note(name: str, at: float, event: int = 1, module: str = "pm", causes: tuple[str, ...] = (), **more: Any) -> Note:
    return Note(id=name, time=at, server=name.split(":")[0], module=module, event=event, severity="info", kind="server",
                name="x", text=f"note {name}", causes=causes, **more)  # fmt: skip


class Agents:
    """server1 answers here; server2 is reached through it, its clock is an hour ahead."""

    def __init__(self, home: Path) -> None:
        self.agent = StandIn(home / "log")
        self.agent.console.collections = Collections(home / "state/logs", "server1", time.time)
        self.other = Collections(home / "state2/logs", "server2", lambda: time.time() + AHEAD_S)
        self.agent.console.forward = self.forward
        self.away = False

    async def forward(
        self, server: str, request: dict[str, Any], wait_s: float
    ) -> AsyncGenerator[dict[str, Any], None]:
        if self.away:
            yield {"ok": False, "error": "There is no link from server1 to the agent on server2."}
        else:
            yield await self.other.answer(request["logs"])


@pytest.fixture
async def agents(home: Path) -> AsyncIterator[Agents]:
    secret = "<trap><snmpsrv id='0'><srvname>h</srvname><snmpcom>geheim</snmpcom></snmpsrv></trap></cluster>"
    (home / "etc/clp.conf").write_text(CLP_CONF.decode().replace("</cluster>", secret))
    (home / "etc/cluster.key").write_text("geheim-key")
    (home / "etc/scripts/g1/exec1").mkdir(parents=True)
    (home / "etc/scripts/g1/exec1/start.sh").write_text("PASSWORD=geheim\n")
    found = Agents(home)
    control = ControlSocket(home / "run/agent.sock", found.agent.console)
    await control.start()
    yield found
    await control.close()
    await found.agent.console.collections.close()  # type: ignore[union-attr]
    await found.other.close()
    found.agent.journal.close()


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}  # type: ignore[union-attr]


def ahead(timeline: bytes, server: str) -> float:
    return float(re.search(rf"The clock of {server} was (\S+) s", timeline.decode())[1])  # type: ignore[index]


async def run(*arguments: str) -> int:
    return await asyncio.to_thread(clplogcc.main, arguments)


@pytest.mark.slow
async def test_logs_of_all_servers_are_in_one_archive_without_secrets(agents: Agents, home: Path):
    agents.agent.note(1)

    assert await run("-o", str(home / "out.tar.gz"), "-t", "type3", "--json") == 0

    files = unpacked(home / "out.tar.gz")
    assert {"server1/log/events.jsonl", "server2/log/events.jsonl", "server1/clp.conf", "cause.txt"} <= set(files)
    assert not [name for name, data in files.items() if b"geheim" in data]
    assert b"<snmpcom>********</snmpcom>" in files["server1/clp.conf"]
    assert 3599.9 < ahead(files["timeline.txt"], "server2") < 3600.1
    assert files["timeline.txt"].count(b"note 1") == 1
    assert b"server1" in files["cause.txt"]
    assert (home / "out.tar.gz").stat().st_mode & 0o777 == 0o600
    assert not list((home / "state/logs").iterdir())


@pytest.mark.slow
async def test_a_server_that_does_not_answer_is_named_and_the_rest_is_kept(
    agents: Agents, home: Path, capsys: pytest.CaptureFixture[str]
):
    agents.away = True

    assert await run("-o", str(home / "out.tar.gz"), "-t", "type3") == 1

    files = unpacked(home / "out.tar.gz")
    assert "There is no link from server1" in files["server2/NOT_COLLECTED.txt"].decode()
    assert "server1/log/agent.log" in files or "server1/clp.conf" in files
    assert "server2 is missing: There is no link" in capsys.readouterr().err


@pytest.mark.slow
def test_without_an_agent_this_server_can_still_be_collected(home: Path):
    (home / "etc/clp.conf").write_bytes(CLP_CONF)
    (home / "log/agent.log").write_text("line\n")

    assert clplogcc.main(["-l", "-t", "type3", "-o", str(home / "out.tar.gz")]) == 0

    files = unpacked(home / "out.tar.gz")
    assert files["server1/log/agent.log"] == b"line\n"
    assert b"status.json" in files["server1/left_out.txt"]


def test_the_archive_never_grows_beyond_its_limit(home: Path):
    (home / "etc/clp.conf").write_bytes(CLP_CONF)
    (home / "log/events.jsonl").write_text("e\n" * 1000)
    (home / "log/large.log").write_text("x" * 3_000_000)

    collect(paths(), "type3", 500_000, home / "a.tar.gz", lambda percent: None)

    files = unpacked(home / "a.tar.gz")
    assert "log/events.jsonl" in files
    assert "log/large.log" not in files
    assert b"log/large.log: the archive would be larger than 500000 bytes" in files["left_out.txt"]


def test_a_file_that_is_there_is_not_overwritten(home: Path, agent: Any):
    (home / "out").write_text("mine")

    assert clplogcc.main(["-o", str(home / "out")]) == 2
    assert (home / "out").read_text() == "mine"


async def test_steps_are_checked(agents: Agents):
    assert "no step" in (await agents.other.answer({"step": "steal"}))["error"]
    assert "letters and digits" in (await agents.other.answer({"step": "get", "id": "../x"}))["error"]
    assert "no such log collection" in (await agents.other.answer({"step": "get", "id": "x"}))["error"]


def test_timeline_goes_by_one_clock_and_never_tells_an_effect_before_its_cause():
    notes = [
        note("server1:1:1", 100.0), note("server2:1:1", 3699.0), note("server1:1:2", 99.0, causes=("server2:1:2",)),
        note("server2:1:2", 3701.0, causes=("server1:1:1",)), note("server1:1:1", 100.0),
    ]  # fmt: skip

    lines = merge(notes, {"server2": Clock(3600.0, 0.001), "server1": Clock(0.0, 0.0)})

    assert [line.note.id for line in lines] == ["server2:1:1", "server1:1:1", "server2:1:2", "server1:1:2"]
    assert "The clock of server2 was 3600.0000 s ahead" in text(lines, {"server2": Clock(3600.0, 0.001)})


def test_a_circle_of_causes_ends():
    one, two = note("a:1:1", 1.0, causes=("a:1:2",)), note("a:1:2", 2.0, causes=("a:1:1",))

    assert len(merge([one, two], {})) == 2


def test_newest_failover_is_found_with_its_evidence():
    notes = [
        note("a:1:1", 10.0, 60, "rc"), note("a:1:2", 1000.0), note("a:1:3", 1900.0, 2, "nm"),
        note("a:1:4", 1990.0, 60, "rc", causes=("a:1:3",)), note("a:1:5", 1995.0), note("a:1:6", 5000.0),
    ]  # fmt: skip

    found = newest_failover(merge(notes, {}))

    assert [line.note.id for line in found] == ["a:1:3", "a:1:4", "a:1:5"]
    assert newest_failover(merge(notes[1:2], {})) == []


async def test_a_script_writes_an_alert(agents: Agents):
    code = await asyncio.to_thread(
        clplogcmd.main, ["-m", "Backup\nis late.", "-l", "warn", "-i", "7", "--syslog", "--mail"]
    )

    (written,) = agents.agent.journal.notes
    assert code == 0
    assert (written.module, written.event, written.severity, written.text) == (
        "logcmd",
        7,
        "warning",
        "Backup is late.",
    )
    assert written.params == ("Backup is late.", "syslog,mail")


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        ({"text": " "}, "1 to 1023 characters"),
        ({"text": "x" * 2000}, "this one has 2000"),
        ({"text": "x", "number": 0}, "1 to 9999"),
        ({"text": "x", "channels": ["script"]}, "This is no alert"),
        ({}, "This is no alert"),
    ],
)
async def test_what_is_no_alert_is_refused(agents: Agents, alert: dict[str, Any], words: str):
    request = agents.agent.console.parse(json.dumps({"op": "alert", "alert": alert}).encode())

    (line,) = [line async for line in agents.agent.console.answer(request, "test")]  # type: ignore[arg-type]

    assert (line["ok"], words in line["error"]) == (False, True)
    assert not agents.agent.journal.notes


async def test_a_script_that_loops_does_not_push_out_everything_else(agents: Agents):
    written = agents.agent.console._written
    answers = [written.answer({"text": "again"})["ok"] for _ in range(150)]

    assert answers == [True] * 100 + [False] * 50
