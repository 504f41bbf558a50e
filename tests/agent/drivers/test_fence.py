"""Fence agents as real programs: options by standard input, time limits, verification, secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.clpconf.model import FenceDevice
from agent.drivers import procfs
from agent.drivers.fence import FenceDriver, InstalledAgents, Outcome, masked

METADATA = (
    '<resource-agent name="fence_x" shortdesc="X"><parameters><parameter name="ip"><content type="string"/></parameter>'
    '</parameters><actions><action name="off"/><action name="status"/></actions></resource-agent>'
)
# What every agent does before its own part: metadata, and its options from standard input.
HEAD = f"""
if [ "$1" = -o ]; then echo x >> "$0.asked"; echo '{METADATA}'; exit 0; fi
cat > "$0.options"
echo "$*" > "$0.arguments"
action=$(sed -n s/^action=//p "$0.options")
"""

Make = Callable[..., FenceDriver]


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def agent(tmp_path: Path, lines: list[str]) -> Make:
    def make(script: str) -> FenceDriver:
        program = tmp_path / "fence_x"
        program.write_text(f"#!/bin/sh\n{HEAD}{script}")
        program.chmod(0o755)
        agents = InstalledAgents(tmp_path / "cache", str(tmp_path))
        return FenceDriver(agents, lambda device, text: lines.append(f"{device}: {text}"))

    return make


def device(**values: str) -> FenceDevice:
    return FenceDevice(name="bmc", agent="fence_x", timeout_s=5.0, values=values, overrides={"server1": {"ip": "a"}})


WORKS = 'case $action in off) echo off > "$0.state";; status) [ -e "$0.state" ] && exit 2; exit 0;; esac'


async def test_options_go_by_standard_input_only(agent: Make, tmp_path: Path) -> None:
    driver = agent(WORKS)

    outcome = await driver.run(device(password="sesame"), "server1", "off")

    assert outcome == Outcome(True, "off")
    assert (tmp_path / "fence_x.arguments").read_text().strip() == ""
    assert (tmp_path / "fence_x.options").read_text().splitlines() == ["password=sesame", "ip=a", "action=status"]


async def test_status_is_told(agent: Make) -> None:
    assert await agent(WORKS).run(device(), "server1", "status") == Outcome(True, "on")


async def test_off_counts_only_when_the_status_says_so(agent: Make) -> None:
    outcome = await agent("[ $action = status ] && exit 0; exit 0").run(device(), "server1", "off")

    assert outcome == Outcome(False, "it said that server1 is off, but its status then was: on")


async def test_failure_says_the_last_line_and_the_code(agent: Make) -> None:
    outcome = await agent("echo first; echo 'no route to host' >&2; exit 3").run(device(), "server1", "off")

    assert outcome == Outcome(False, "exit code 3: no route to host")


# Deaf to SIGTERM, with two children; `timeout` opens a process group of its own.
STARTS_TWO = 'trap "" TERM\nsleep 61 & echo $! >> "$0.children"\ntimeout 62 sleep 63 & echo $! >> "$0.children"\n'


@pytest.mark.slow
async def test_agent_that_hangs_is_stopped_with_all_that_it_started(
    agent: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.drivers.fence.KILL_AFTER_S", 0.2)
    driver = agent(f"{STARTS_TWO}wait\nsleep 64")
    slow = FenceDevice(name="bmc", agent="fence_x", timeout_s=2.0)  # Time enough to start them, on any machine.

    outcome = await driver.run(slow, "server1", "off")

    assert outcome == Outcome(False, "it did not end within 2 s")
    assert living(tmp_path) == []


async def test_what_an_agent_leaves_behind_ends_before_its_result_is_told(agent: Make, tmp_path: Path) -> None:
    driver = agent(f"exec >/dev/null 2>&1\n{STARTS_TWO}exit 1")

    outcome = await driver.run(device(), "server1", "off")

    assert outcome == Outcome(False, "exit code 1")
    assert living(tmp_path) == []


def living(tmp_path: Path) -> list[int]:
    """Of the two that the agent started."""
    pids = [int(line) for line in (tmp_path / "fence_x.children").read_text().split()]
    assert len(pids) == 2
    return [pid for pid in pids if (found := procfs.find(pid)) is not None and not found.ended]


async def test_no_secret_reaches_the_log_or_the_detail(agent: Make, lines: list[str]) -> None:
    driver = agent('grep -h password "$0.options"; exit 1')

    outcome = await driver.run(device(password="open sesame"), "server1", "off")

    assert outcome == Outcome(False, "exit code 1: password=***")
    assert lines == ["bmc: fence_x off server1: exit code 1", "bmc:   password=***"]


def test_a_very_short_secret_hides_everything() -> None:
    assert masked("user a, password xy", {"password": "xy"}) == "(what it printed may contain a secret)"
    assert masked("nothing to see", {"password": "xy"}) == "nothing to see"


async def test_missing_agent_says_what_to_install(agent: Make) -> None:
    driver = agent("exit 0")

    outcome = await driver.run(FenceDevice(name="bmc", agent="fence_y"), "server1", "off")

    assert not outcome.ok
    assert "fence_y is not installed on this server; install the package fence-agents" in outcome.detail


@pytest.mark.slow
async def test_output_without_end_does_no_harm(agent: Make, lines: list[str]) -> None:
    quick = FenceDevice(name="bmc", agent="fence_x", timeout_s=0.5)

    outcome = await agent("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done").run(quick, "server1", "off")

    assert not outcome.ok
    assert len(lines) < 30


def test_metadata_is_asked_once_and_kept(agent: Make, tmp_path: Path) -> None:
    agent("exit 0")
    for _ in range(3):
        assert InstalledAgents(tmp_path / "cache", str(tmp_path))["fence_x"].actions == {"off", "status"}

    assert (tmp_path / "fence_x.asked").read_text() == "x\n"
    (tmp_path / "fence_x").write_text("#!/bin/sh\necho nothing\n")  # Another version of it.
    assert InstalledAgents(tmp_path / "cache", str(tmp_path)).get("fence_x") is None


@pytest.mark.slow
async def test_the_dummy_of_the_package_is_switched_off_and_verified(tmp_path: Path, lines: list[str]) -> None:
    agents = InstalledAgents()
    if "fence_dummy" not in agents:
        pytest.skip("needs fence_dummy: apt-get install fence-agents")
    (tmp_path / "status").write_text("on")
    one = FenceDevice(name="dummy", agent="fence_dummy", values={"status_file": str(tmp_path / "status")})
    driver = FenceDriver(agents, lambda device, text: lines.append(text))

    before = await driver.run(one, "server1", "status")
    shot = await driver.run(one, "server1", "off")

    assert (before, shot) == (Outcome(True, "on"), Outcome(True, "off"))
    assert (tmp_path / "status").read_text() == "off"
    failing = FenceDevice(name="dummy", agent="fence_dummy", values={"type": "fail", "plug": "1", "power_timeout": "1"})
    assert not (await driver.run(failing, "server1", "off")).ok
