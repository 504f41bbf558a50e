"""clpcfctrl, clpcfget and clpcfadm.py: exit codes, lines, and what is fetched or put in place."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agent.catalog import specs
from agent.cli import clpcfadm, clpcfctrl, clpcfget, clpcfset
from agent.cli.change import ChangeRefusedError
from agent.cli.client import CommandError
from agent.cli.delivery import Agents, Delivery
from agent.clpconf.archive import Bundle, Script, write_archive
from agent.clpconf.command_words import do
from agent.clpconf.edit import Edit, create
from agent.wire.delivery import StepError

Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a correct clp.conf of server1 and server2."""
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    document = create("c")
    for line in (
        "srv server1 0", "srv server2 1", "device server1 lan 0 192.0.2.11", "device server2 lan 0 192.0.2.12",
        "device server1 lan 1 198.51.100.11", "device server2 lan 1 198.51.100.12", "hb lankhb 0 0", "hb lankhb 1 1",
        "grp failover failover1", "rsc failover1 fip fip1", "rscparam fip fip1 parameters/ip 192.0.2.20",
        "rsc failover1 exec exec1", "rscparam exec exec1 parameters/act/path start.sh",
        "rscparam exec exec1 parameters/deact/path stop.sh",
    ):  # fmt: skip
        do("add", line.split())(Edit(document, specs()))
    (directory / "clp.conf").write_bytes(document.write())
    script = directory / "scripts/failover1/exec1/start.sh"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return directory


@pytest.fixture
def ctrl(work: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return _runner(clpcfctrl.main, capsys)


def _runner(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> Run:
    def run(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(line.split())
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_check_says_one_finding_a_line_and_counts_errors(ctrl: Run, work: Path):
    assert ctrl("--check clp.conf")[0] == 0
    (work / "bad.conf").write_text((work / "clp.conf").read_text().replace("192.0.2.20", "192.0.2.999"))

    code, out, _ = ctrl("--check bad.conf")

    assert code == 1
    (line,) = [one for one in out.splitlines() if one.startswith("error ")]
    assert line.startswith("error value.syntax /root/resource/fip@fip1/parameters/ip:")
    assert json.loads(ctrl("--json --check bad.conf")[1])["findings"][0].keys() >= {"code", "severity", "path", "line"}


@pytest.mark.parametrize("content", [b"", b"<root>", b'<!DOCTYPE r [<!ENTITY e "x">]><root>&e;</root>', None])
def test_unreadable_files_are_told_from_wrong_ones(ctrl: Run, work: Path, content: bytes | None):
    if content is not None:
        (work / "x.conf").write_bytes(content)

    assert ctrl("--check x.conf")[0] == 2
    assert ctrl("--diff clp.conf x.conf")[0] == 2


def test_diff_means_content(ctrl: Run, work: Path):
    text = (work / "clp.conf").read_text()
    (work / "same.conf").write_text(text.replace("\n", "\r\n").replace("  <", "\t<"))
    (work / "other.conf").write_text(text.replace("192.0.2.20", "192.0.2.21"))

    assert ctrl("--diff clp.conf same.conf") == (0, "", "")
    code, out, _ = ctrl("--diff clp.conf other.conf")

    assert code == 1
    assert out == (
        'changed resource fip1 /root/resource/fip@fip1/parameters/ip: IP address "192.0.2.20" -> "192.0.2.21" [group]\n'
    )


def test_diff_of_directories_and_archives_includes_scripts(ctrl: Run, work: Path):
    script = {"failover1/exec1/start.sh": Script(b"#!/bin/sh\nexit 1\n", 0o755)}
    (work / "other.tar.gz").write_bytes(write_archive(Bundle((work / "clp.conf").read_bytes(), script)))

    code, out, _ = ctrl(f"--diff {work} other.tar.gz")

    assert (code, out) == (
        1, "changed script failover1/exec1/start.sh scripts/failover1/exec1/start.sh: "
           "Content [noted]\n",
    )  # fmt: skip


def test_get_tells_names_values_and_defaults_but_no_secrets(work: Path, capsys: pytest.CaptureFixture[str]):
    get = _runner(clpcfget.main, capsys)
    clpcfset.main(["add", "mon", "mysqlw", "m"])
    clpcfset.main(["add", "monparam", "mysqlw", "m", "parameters/password", "geheim"])

    assert get("-i clp.conf -e /root/resource/types") == (0, "fip\nexec\n", "")
    assert get("-i clp.conf -e /root/resource/fip") == (0, "fip1\n", "")
    assert get("-i clp.conf -g /root/resource/fip@fip1/parameters/ip") == (0, "192.0.2.20\n", "")
    assert get("-i clp.conf -g /root/resource/exec@exec1/parameters/timeout/start") == (0, "1800\n", "")
    assert json.loads(get("--json -i clp.conf -g cluster/heartbeat/timeout")[1])["default"] is True
    code, out, err = get("-i clp.conf -g /root/monitor/mysqlw@m/parameters/password")
    assert (code, out, "geheim" in err) == (1, "", False)
    assert get("-i clp.conf -g /root/resource/fip@nobody/parameters/ip")[0] == 1


@pytest.mark.parametrize("option", ["-set", "--set"])
def test_adm_changes_values_and_objects(work: Path, capsys: pytest.CaptureFixture[str], option: str):
    adm = _runner(clpcfadm.main, capsys)

    assert adm(f"mod -t resource/fip@fip1/parameters/ip {option} 192.0.2.30 --nocheck")[0] == 0
    assert adm("add rsc failover1 exec exec2")[0] == 0
    assert adm("add rscdep exec exec2 fip1")[0] == 0
    assert adm("add mon userw userw")[0] == 0

    text = (work / "clp.conf").read_text()
    assert "<ip>192.0.2.30</ip>" in text
    assert '<depend name="fip1"/>' in text
    assert '<resource name="exec@exec2"/>' in text
    assert adm("mod -t resource/fip@fip9/parameters/ip --set 1")[0] == 1
    assert adm("mod -t cluster/heartbeat/timeout --delete")[0] == 0


@pytest.mark.slow
def test_without_an_agent_the_files_are_put_in_place_here(ctrl: Run, work: Path, home: Path):
    code, out, _ = ctrl(f"--push -l -x {work}")

    assert code == 4, "server2 does not have it yet"
    assert "server2 do not have it" in out
    assert (home / "etc/clp.conf").read_bytes() == (work / "clp.conf").read_bytes()
    assert (home / "etc/scripts/failover1/exec1/start.sh").stat().st_mode & 0o777 == 0o755
    (work / "clp.conf").write_text((work / "clp.conf").read_text().replace("192.0.2.20", "192.0.2.999"))
    assert ctrl(f"--push -x {work}")[0] == 1
    assert b"192.0.2.20<" in (home / "etc/clp.conf").read_bytes()


def test_links_are_no_scripts(ctrl: Run, work: Path, home: Path):
    (work / "scripts/failover1/exec1/stop.sh").symlink_to("/etc/shadow")

    code, _, err = ctrl(f"--push -x {work}")

    assert code == 1
    assert "It is no plain file" in err
    assert not (home / "etc/clp.conf").exists()


def test_pull_asks_the_agent_part_by_part_and_keeps_what_was_there(ctrl: Run, work: Path, agent: Any, tmp_path: Path):
    noise = os.urandom(600_000)  # Several parts: it cannot be packed.
    data = write_archive(Bundle(b"<root/>", {"g/e/start.sh": Script(noise, 0o750)}))
    offsets: list[int] = []
    agent.configuration = lambda step: _packed(step, data, offsets)
    (work / "clp.conf").write_text("mine")

    code, _, err = ctrl("--pull -x .")

    assert (code, err) == (0, "")
    assert offsets == [0, 262144, 524288]
    assert (work / "clp.conf").read_bytes() == b"<root/>"
    assert (work / "clp.conf.bak").read_text() == "mine"
    assert (work / "scripts/g/e/start.sh").read_bytes() == noise
    assert (work / "scripts/g/e/start.sh").stat().st_mode & 0o777 == 0o750


def _packed(step: dict[str, Any], data: bytes, offsets: list[int]) -> dict[str, Any]:
    if step["step"] == "pack":
        return {"ok": True, "configuration": {"id": sha256(data).hexdigest(), "size": len(data), "edited": False}}
    offsets.append(step["offset"])
    part = data[step["offset"] : step["offset"] + 262144]
    return {"ok": True, "configuration": {"data": base64.b64encode(part).decode()}}


class FakeAgents(Agents):
    """Every server takes every step, but for the one that `fails` names."""

    def __init__(
        self, fails: tuple[str, str] = ("", ""), running: tuple[str, ...] = (), *, scripts: bool = False
    ) -> None:
        super().__init__("server1", 10)
        self.scripts = scripts
        self.fails = fails
        self.running = running
        self.done: list[tuple[str, str]] = []

    def step(self, server: str, step: str, **fields: Any) -> dict[str, Any]:
        if (server, step) == self.fails:
            raise StepError(server, "failed", f"{server} cannot {step}.")
        if step not in ("state", "put"):
            self.done.append((server, step))
        again = (server, "restart") in self.done
        service = "online" if server in self.running else "stopped"
        return {
            "service": service, "scripts": self.scripts, "level": "group", "config": "c" * 16, "words": ["w"],
            "kept": "v", "incarnation": 2 if again else 1,
        }  # fmt: skip


def deliver(
    agents: FakeAgents, *servers: str, force: bool = False, change: Callable[[str], None] = lambda _: None
) -> list[str]:
    return Delivery(agents, b"data", lambda _: None).run(servers, force, change)


def test_a_running_cluster_changes_over_when_all_have_stored_it():
    agents, changed = FakeAgents(running=("server1", "server2")), list[str]()

    assert deliver(agents, "server1", "server2", change=changed.append) == ["server1", "server2"]

    assert changed == ["c" * 16]
    assert agents.done == [("server1", "store"), ("server2", "store")]


def test_what_the_cluster_refuses_is_thrown_away_everywhere():
    def refuse(_config: str) -> None:
        raise ChangeRefusedError("server3 must be in the cluster.")

    agents = FakeAgents(running=("server1", "server2"))
    with pytest.raises(CommandError, match=r"Nothing was changed\. server3 must be") as raised:
        deliver(agents, "server1", "server2", change=refuse)

    assert raised.value.exit_code == 1
    assert agents.done[-2:] == [("server1", "discard"), ("server2", "discard")]


def test_scripts_alone_are_switched_while_the_service_runs():
    agents, changed = FakeAgents(running=("server1", "server2"), scripts=True), list[str]()

    deliver(agents, "server1", "server2", change=changed.append)

    assert changed == []
    assert agents.done[-2:] == [("server2", "switch"), ("server1", "switch")]


def test_all_store_before_any_switches_and_this_server_is_the_last():
    agents = FakeAgents()

    assert deliver(agents, "server1", "server2") == ["server1", "server2"]

    assert agents.done == [
        ("server1", "store"), ("server2", "store"), ("server2", "switch"), ("server1", "switch"),
        ("server2", "restart"), ("server1", "restart"),
    ]  # fmt: skip


@pytest.mark.parametrize("fails", [("server2", "store"), ("server3", "switch"), ("server1", "switch")])
def test_what_fails_on_one_server_is_undone_on_all(fails: tuple[str, str]):
    agents = FakeAgents(fails)

    with pytest.raises(CommandError, match="Nothing was changed") as raised:
        deliver(agents, "server1", "server2", "server3")

    assert raised.value.exit_code == 1
    switched = [server for server, step in agents.done if step == "switch"]
    assert [server for server, step in agents.done if step == "restore"] == switched
    assert [server for server, step in agents.done if step == "discard"] == ["server1", "server2", "server3"]
    assert "restart" not in dict(agents.done).values()


def test_half_a_stopped_cluster_is_refused():
    agents = FakeAgents(running=("server2",))

    with pytest.raises(CommandError, match="runs on server2, but not on server1"):
        deliver(agents, "server1", "server2")

    assert agents.done == []


def test_a_server_that_does_not_answer_hinders_unless_forced():
    agents = FakeAgents(("server2", "state"))

    with pytest.raises(CommandError, match="Nothing was delivered: server2 cannot state") as raised:
        deliver(agents, "server1", "server2")

    assert raised.value.exit_code == 3
    assert deliver(agents, "server1", "server2", force=True) == ["server1"]
