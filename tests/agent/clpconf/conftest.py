"""Small configurations for the tests of agent.clpconf, and the real ones where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_CORPUS = Path(os.environ.get("OPENCLP_CLPCONF") or Path(__file__).parents[4] / "shared" / "clpconf")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `real_conf` or `broken_conf` runs once for each file."""
    for fixture, pattern in (("real_conf", "[!b]*.conf"), ("broken_conf", "broken-*.conf")):
        if fixture in metafunc.fixturenames:
            files = sorted(_CORPUS.glob(pattern))
            reason = f"no files in {_CORPUS.name}: set OPENCLP_CLPCONF to a folder of clp.conf files"
            missing = [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
            metafunc.parametrize(fixture, files or missing, ids=lambda file: file.name if file else "none")


class Conf:
    """A valid cluster of two servers whose parts a test replaces or extends."""

    def __init__(self) -> None:
        self.cluster = "<name>demo</name><comment> </comment>"
        self.servers = "".join(
            f'<server name="server{n}"><priority>{n - 1}</priority>'
            f'<device id="0"><type>lan</type><info>10.0.0.{n}</info></device>'
            f'<device id="1"><type>lan</type><info>10.0.1.{n}</info></device></server>'
            for n in (1, 2)
        )
        self.heartbeat = (
            '<types name="lanhb"/>'
            '<lanhb name="lanhb1"><priority>0</priority><device>0</device></lanhb>'
            '<lanhb name="lanhb2"><priority>1</priority><device>1</device></lanhb>'
        )
        self.group = '<group name="failover1"><resource name="fip@fip1"/><resource name="exec@exec1"/></group>'
        self.resource = (
            '<types name="fip"/><types name="exec"/>'
            '<fip name="fip1"><parameters><ip>10.0.0.100</ip></parameters></fip>'
            '<exec name="exec1"/>'
        )
        self.monitor = ""
        self.more = ""

    def write(self) -> bytes:
        parts = (
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<root>\n<cluster>{self.cluster}</cluster>",
            self.servers,
            f"<heartbeat>{self.heartbeat}</heartbeat>",
            self.group,
            f"<resource>{self.resource}</resource>",
            f"<monitor>{self.monitor}</monitor>",
            self.more,
            "</root>",
        )
        return "\n".join(parts).encode()


@pytest.fixture
def conf() -> Conf:
    return Conf()
