"""docs/systemd/openclp.service: what a unit must say so that systemd does not end a mirror below its file system."""

from __future__ import annotations

import configparser
from pathlib import Path

from agent.cli import launch
from agent.daemon import supervisor

FILE = Path(__file__).parents[3] / "docs/systemd" / launch._UNIT


def test_unit_ends_clpd_alone_and_gives_it_the_time_that_it_takes():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(FILE.read_text())
    service = unit["Service"]

    assert service["KillMode"] == "process"
    assert service["OOMPolicy"] == "continue"
    assert int(service["TimeoutStopSec"]) > supervisor.STOP_S
    assert int(service["RestartPreventExitStatus"]) == supervisor.EXIT_CONFIG
    assert Path(service["ExecStart"]).name == "clpd"
