"""Configurations are stored beside the one in force and switched to whole, whatever ends in between."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from agent.clpconf.archive import Bundle, Script, write_archive
from agent.daemon import configuration, configuration_files, configuration_work, switching
from agent.daemon.configuration import Configurations
from agent.daemon.console import ControlRequest
from agent.daemon.paths import Paths
from agent.daemon.running import RUNNING, Running, read_running, write_running
from agent.engine.events import ConfigurationStored, Event, SwitchFailed
from agent.wire.delivery import PART_BYTES
from agent.wire.peer import Answer, Request
from agent.wire.switch import Stored, Switch, config_id
from tests.agent.daemon.shell import CLP_CONF, StandIn, small_cluster

KEY = "ab" * 32


@pytest.fixture
def places(tmp_path: Path) -> Paths:
    """A server with a configuration and a script in force."""
    made = Paths(*(str(tmp_path / name) for name in ("etc", "state", "run", "log")))
    made.make()
    Path(made.config).write_bytes(b"old")
    Path(made.scripts, "g").mkdir(parents=True)
    Path(made.scripts, "g", "old.sh").write_bytes(b"old")
    return made


def in_force(places: Paths) -> tuple[bytes, list[str]]:
    scripts = Path(places.scripts)
    return Path(places.config).read_bytes(), sorted(
        str(path.relative_to(scripts)) for path in scripts.rglob("*") if path.is_file()
    )


NEW = (b"new", ["g/e/new.sh"])


def store(places: Paths) -> None:
    configuration_files.store(places, KEY, b"new", {"g/e/new.sh": (b"new", 0o750)})


def test_what_is_stored_is_not_in_force_and_can_be_thrown_away(places: Paths):
    store(places)

    assert in_force(places) == (b"old", ["g/old.sh"])
    configuration_files.discard(places)
    assert sorted(os.listdir(places.etc)) == ["clp.conf", "scripts"]


def test_a_switch_replaces_all_and_keeps_modes_and_the_version_before(places: Paths):
    Path(places.config).chmod(0o640)
    store(places)

    kept = configuration_files.keep(places)
    configuration_files.switch(places, KEY)

    assert in_force(places) == NEW
    assert Path(places.scripts, "g/e/new.sh").stat().st_mode & 0o777 == 0o750
    assert Path(places.config).stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(places.etc)) == ["clp.conf", "scripts"]
    assert kept is not None
    assert ((kept / "clp.conf").read_bytes(), (kept / "scripts/g/old.sh").read_bytes()) == (b"old", b"old")


class PowerCut(BaseException):
    pass


@pytest.mark.parametrize("steps", range(8))
def test_an_interrupted_switch_is_old_or_becomes_new(places: Paths, monkeypatch: pytest.MonkeyPatch, steps: int):
    """The power goes after each of the changes of the disk."""
    store(places)
    left = [steps]

    def counted(work: Any) -> Any:
        def maybe(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise PowerCut
            left[0] -= 1
            return work(*arguments, **options)

        return maybe

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "rmdir"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        with contextlib.suppress(PowerCut):
            configuration_files.switch(places, KEY)

    configuration_files.finish(places)

    assert in_force(places) == (NEW if steps else (b"old", ["g/old.sh"]))
    assert not Path(places.etc, ".clp.switching").exists()


def test_only_so_many_versions_are_kept(places: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(configuration_files, "KEPT", 2)
    for number in range(4):
        Path(places.config).write_bytes(b"%d" % number)
        configuration_files.keep(places)

    assert len(list(configuration_files.folder(places).iterdir())) == 2


# --- the steps over the control socket


class Server:
    """The steps of one agent, its work done here; `service` as a test wants it."""

    def __init__(self, places: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        self.service, self.held, self.work = "stopped", False, list[tuple[str, ...]]()
        self.scripts = False
        self.fed: list[Event] = []
        self.left = 0
        self.answers: dict[str, dict[str, Any]] = {}  # of the work, by its first word
        self.other = "old"  # hash of what the other server runs
        self.said: list[str] = []
        self.pets, self._write = os.pipe()
        monkeypatch.setenv("OPENCLP_PET_FD", str(self._write))
        self.asked = Configurations(
            places, "server1", b"old", 1, service=lambda: self.service, holds=lambda: self.held, say=self.said.append,
            others=("server2",), forward=self._forward, feed=self.fed.append, leave=self._leave,
        )  # fmt: skip
        monkeypatch.setattr(self.asked, "_work", self._work)

    def _leave(self) -> None:
        self.left += 1

    async def _work(self, *arguments: str) -> dict[str, Any]:
        self.work.append(arguments)
        if arguments[0] in self.answers:
            return self.answers[arguments[0]]
        return {
            "scripts": self.scripts,
            "words": [],
            "servers": ["server1"],
            "kept": "v",
            "hash": sha256(b"new").hexdigest(),
        }

    async def _forward(
        self, server: str, request: dict[str, Any], wait_s: float
    ) -> AsyncGenerator[dict[str, Any], None]:
        assert (server, request["configuration"]) == ("server2", {"step": "state"})
        yield {"ok": True, "configuration": {"hash": self.other}}

    async def decided(self) -> None:
        while self.asked._deciding is None:
            await asyncio.sleep(0)
        await self.asked._deciding

    def close(self) -> None:
        self.asked._stop_waiting()
        os.close(self.pets)
        os.close(self._write)

    async def step(self, step: str, **fields: Any) -> dict[str, Any]:
        return await self.asked.answer({"step": step, **fields}, "test")


@pytest.fixture
async def server(places: Paths, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Server, None]:
    made = Server(places, monkeypatch)
    yield made
    made.close()


async def test_parts_make_the_file_again(server: Server, places: Paths):
    data = os.urandom(PART_BYTES + 10)
    key = sha256(data).hexdigest()
    for offset in (0, PART_BYTES, PART_BYTES):  # One is asked again over a new connection.
        part = base64.b64encode(data[offset : offset + PART_BYTES]).decode()
        answer = await server.step("put", id=key, offset=offset, size=len(data), data=part)
        assert answer["ok"], answer

    assert (Path(places.state) / "configurations" / f"in-{key[:16]}").read_bytes() == data


@pytest.mark.parametrize(
    "fields",
    [
        {"step": "put", "id": "../x"}, {"step": "fly"}, {"step": "put", "id": KEY, "offset": 5, "size": 3},
        {"step": "put", "id": KEY, "size": 3, "data": "no base64!"}, {"step": "put", "id": KEY, "size": 1 << 40},
        {"step": "put", "id": KEY, "size": 1, "data": base64.b64encode(b"xx").decode()}, {"other": 1}, None,
        {"step": "get", "id": KEY},
    ],
)  # fmt: skip
async def test_bad_steps_are_refused(server: Server, fields: dict[str, Any] | None):
    answer = await server.asked.answer(fields, "test")

    assert answer["ok"] is False
    assert answer["error"]


async def test_a_running_service_takes_scripts_alone(server: Server):
    server.service = "online"
    await server.step("store", id=KEY)

    refused = await server.step("switch", id=KEY)
    server.scripts = True
    await server.step("store", id=KEY)
    taken = await server.step("switch", id=KEY)

    assert (refused["ok"], refused["reason"]) == (False, "service_runs")
    assert taken["ok"]
    assert server.work[-1] == ("switch", KEY, "online")
    assert not server.asked.switching


async def test_what_is_still_held_counts_as_running(server: Server):
    server.held = True
    await server.step("store", id=KEY)

    assert (await server.step("switch", id=KEY))["ok"] is False


async def test_a_repeated_switch_is_made_once(server: Server):
    await server.step("store", id=KEY)

    assert await server.step("switch", id=KEY) == await server.step("switch", id=KEY)

    assert [work[0] for work in server.work] == ["store", "switch"]


async def test_between_switch_and_restart_the_service_is_not_started(server: Server, tmp_path: Path):
    agent = StandIn(tmp_path)
    agent.console.configurations = server.asked
    await server.step("store", id=KEY)
    await server.step("switch", id=KEY)

    (answer,) = [step async for step in agent.console.ask(Request(id="1", op="server_start", target="server1"), 1)]

    assert isinstance(answer, Answer)
    assert (answer.code, answer.reason) == (2, "configuration_switching")
    assert agent.asked == []


async def test_restart_asks_clpd(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(configuration, "_SOON_S", 0.0)
    await server.step("store", id=KEY)
    await server.step("switch", id=KEY)

    assert (await server.step("restart", id=sha256(b"other").hexdigest()))["ok"] is False
    assert (await server.step("restart", id=KEY))["ok"]

    await _turns(3)
    assert os.read(server.pets, 10) == b"R"


async def test_without_its_deliverer_it_goes_on_where_others_have(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(configuration, "LOST_S", 0.0)
    server.other = sha256(b"new").hexdigest()
    await server.step("store", id=KEY)
    await server.step("switch", id=KEY)

    await server.decided()

    assert os.read(server.pets, 10) == b"R"


async def test_without_its_deliverer_it_is_taken_back_where_nobody_has_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(configuration, "LOST_S", 0.0)
    await server.step("store", id=KEY)
    await server.step("switch", id=KEY)

    await server.decided()

    assert server.work[-1] == ("restore", "v")
    assert not server.asked.switching


# --- while the service runs

SWITCH = Switch(id="s1", to="b" * 16, origin="a" * 16, key=KEY, members=("server1", "server2"))


async def changed(server: Server) -> None:
    server.asked.begin(SWITCH)
    assert server.asked._begun is not None
    await server.asked._begun


async def test_the_engine_hears_what_is_stored_and_what_is_thrown_away(server: Server, places: Paths):
    found = Stored(config="b" * 16, key=KEY, groups=("g1",), level="group")
    files_of(places, found)

    await server.step("store", id=KEY)
    await server.step("store", id=KEY)
    await server.step("discard")

    assert server.fed == [ConfigurationStored(stored=found), ConfigurationStored(stored=None)]


async def test_a_daemon_ends_when_its_files_are_exchanged(server: Server):
    await changed(server)

    assert server.work == [("apply", "1", str(os.getpid()), msgspec.json.encode(SWITCH).decode())]
    assert (server.left, server.fed) == (1, [])


async def test_what_cannot_be_exchanged_is_told_to_the_engine(server: Server):
    server.answers["apply"] = {"error": "The disk is full."}

    await changed(server)

    assert (server.left, server.fed) == (0, [SwitchFailed(id="s1", detail="The disk is full.")])


async def test_what_was_begun_and_not_finished_is_finished_by_clpd(server: Server, places: Paths):
    server.answers["apply"] = {"error": "The process ended with -9."}
    switching.write_record(places, switching.Record(switch=SWITCH, incarnation=1, kept="v"))

    await changed(server)

    assert (server.left, server.fed) == (1, [])


async def test_without_clpd_nothing_is_exchanged(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENCLP_PET_FD")

    await changed(server)

    (failed,) = server.fed
    assert isinstance(failed, SwitchFailed)
    assert "runs without clpd" in failed.detail
    assert server.work == []


async def test_a_delivery_that_takes_long_does_not_hold_the_cluster_up(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(configuration, "SWITCH_S", 0.01)
    async with server.asked._lock:
        await changed(server)

    assert [type(event) for event in server.fed] == [SwitchFailed]


async def test_scripts_are_not_exchanged_while_a_configuration_is_on_trial(server: Server, places: Paths):
    switching.write_record(places, switching.Record(switch=SWITCH, incarnation=1, kept="v", done=True))
    server.service, server.scripts = "online", True
    await server.step("store", id=KEY)

    assert (await server.step("switch", id=KEY))["reason"] == "on_trial"


def files_of(places: Paths, found: Stored) -> None:
    configuration_files.store(places, found.key, b"new", {})
    switching.write_stored(places, found)


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_the_console_hands_steps_on(server: Server, tmp_path: Path):
    agent = StandIn(tmp_path)
    agent.console.configurations = server.asked
    asked = agent.console.parse(b'{"op":"configuration","configuration":{"step":"state"}}')
    assert isinstance(asked, ControlRequest)

    (line,) = [line async for line in agent.console.answer(asked, "test")]

    assert line["configuration"]["server"] == "server1"


# --- the work


def bundle(conf: bytes, script: bytes = b"#!/bin/sh\n") -> bytes:
    return write_archive(Bundle(conf, {"g/e/start.sh": Script(script, 0o755)}))


def test_the_work_stores_only_what_runs_here(places: Paths):
    conf = places_with(places)
    data = bundle(conf.replace(b"<name>c</name>", b"<name>c</name><comment>hi</comment>"))
    key = arrive(places, data)

    found = configuration_work.store(places, key)
    assert (found["scripts"], found["level"], found["servers"][0]) == (False, "noted", "server1")
    configuration_work.switch(places, key, True)
    assert b"hi" in Path(places.config).read_bytes()

    with pytest.raises(configuration_work.WorkError, match="cannot be run"):
        configuration_work.store(places, arrive(places, bundle(conf.replace(b"10.0.0.1<", b"10.0.0.999<"))))


def test_the_work_refuses_what_is_not_for_this_server(places: Paths):
    conf = places_with(places)
    Path(places.server).write_text("elsewhere\n")

    with pytest.raises(configuration_work.WorkError, match="It has no server elsewhere"):
        configuration_work.store(places, arrive(places, bundle(conf)))


def test_the_work_tells_what_needs_a_stop(places: Paths):
    conf = places_with(places)
    slower = conf.replace(b"<timeout>500</timeout>", b"<timeout>700</timeout>")
    assert slower != conf

    found = configuration_work.store(places, arrive(places, bundle(slower)))
    assert (found["scripts"], found["level"]) == (False, "suspend")
    assert configuration_work.store(places, arrive(places, bundle(conf, b"other")))["scripts"] is True


def places_with(places: Paths) -> bytes:
    Path(places.config).write_bytes(CLP_CONF)
    Path(places.server).write_text("server1\n")
    return CLP_CONF


def arrive(places: Paths, data: bytes) -> str:
    key = sha256(data).hexdigest()
    (configuration_files.folder(places) / f"in-{key[:16]}").write_bytes(data)
    return key


def test_the_work_changes_over_and_back_for_a_service_that_runs(places: Paths):
    conf = places_with(places)
    write_running(Path(places.state) / RUNNING, Running(incarnation=7, config=conf, cluster=small_cluster()))
    slower = conf.replace(b"<timeout>500</timeout>", b"<timeout>700</timeout>")
    key = arrive(places, bundle(slower))
    found = configuration_work.store(places, key)
    switch = Switch(id="s1", to=found["config"], origin=config_id(conf), key=key, members=("server1",))

    assert configuration_work.apply(places, 7, switch) == {"config": switch.to}
    running = read_running(Path(places.state) / RUNNING)
    assert running is not None
    assert (running.incarnation, running.config, running.cluster.timeout_s) == (7, slower, 0.7)
    configuration_work.apply(places, 7, replace(switch, state="returned", reason="r"))

    running = read_running(Path(places.state) / RUNNING)
    assert running is not None
    assert (running.config, Path(places.config).read_bytes()) == (conf, conf)
    stored = switching.read_stored(places)
    assert stored is not None
    assert (stored.config, stored.level) == (switch.to, "suspend")


def test_groups_that_stop_are_named_as_they_are_called_now(places: Paths):
    conf = places_with(places)
    write_running(Path(places.state) / RUNNING, Running(incarnation=7, config=conf, cluster=small_cluster()))
    gone = conf.replace(b"failover1", b"failover9")

    assert "failover1" in configuration_work.store(places, arrive(places, bundle(gone)))["groups"]
