"""What the tests of rules share: a valid cluster, changed, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.catalog import specs
from agent.clpconf.findings import Finding
from agent.clpconf.validate import validate

CATALOG = specs()
Judge = Callable[..., list[Finding]]


@pytest.fixture
def judge(conf) -> Judge:  # type: ignore[no-untyped-def]
    """judge("fip.") validates the cluster and gives the findings whose code begins so."""

    def findings(code: str) -> list[Finding]:
        return [f for f in validate(conf.write(), CATALOG) if f.code.startswith(code)]

    return findings


def said(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(f.severity, f.code, f.path.removeprefix("/root/")) for f in findings]
