"""The README tells the truth where a machine can check it."""

from __future__ import annotations

import re
from pathlib import Path

from agent import catalog
from agent.cli.client import EXIT_CODES
from agent.clpconf.load import load

README = (Path(__file__).parents[3] / "README.md").read_text("utf-8")


def test_the_sample_configuration_is_right() -> None:
    (sample,) = re.findall(r"```xml\n(.*?)```", README, re.DOTALL)

    loaded = load(sample.encode("ascii"), catalog.specs())

    assert loaded.errors == []
    assert loaded.cluster is not None
    assert [group.name for group in loaded.cluster.groups] == ["failover1"]
    assert loaded.cluster.majority is False


def test_the_majority_line_is_right() -> None:
    (sample,) = re.findall(r"```xml\n(.*?)```", README, re.DOTALL)
    (line,) = re.findall(r"`(<networkpartition>.*?)`", README)

    loaded = load(sample.replace("</root>", f"{line}</root>").encode("ascii"), catalog.specs())

    assert loaded.cluster is not None
    assert loaded.cluster.majority is True


def test_exit_codes_are_those_of_the_commands() -> None:
    rows = re.findall(r"^\| (\d) \| (.*) \|$", README, re.MULTILINE)

    assert rows == [(str(code), meaning) for code, meaning in EXIT_CODES]
