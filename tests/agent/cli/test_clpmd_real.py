"""What two real mirror processes say is what the commands show."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cli import clpmdstat
from agent.wire.mirror import MirrorState, facts, plan_of_force, status_of
from tests.agent.mirrord.processes import Mirror

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="openclp-clpmd-") as place:
        made = Mirror(Path(place), 16 << 20)
        try:
            yield made
        finally:
            made.close()


def sides(mirror: Mirror) -> dict[str, Any]:
    servers = (mirror.a, mirror.b)
    return {one.name: msgspec.structs.asdict(msgspec.convert(one.state, MirrorState, strict=False)) for one in servers}


def codes(mirror: Mirror) -> list[str]:
    return [fact.code for fact in facts("md1", sides(mirror))]


def test_words_follow_two_real_processes(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.start()
    mirror.until(lambda: codes(mirror) == ["not_constructed"])
    assert plan_of_force("md1", "a", sides(mirror)).does == "construct"

    mirror.construct(full=True)
    mirror.until(lambda: (status_of(sides(mirror)), codes(mirror)) == ("Normal", ["equal"]))

    name = mirror.a.order("verify")
    mirror.until(lambda: mirror.a.told("done", name))
    mirror.until(lambda: sides(mirror)["a"]["verify"]["at"] and not sides(mirror)["a"]["verify"]["running"])
    assert not sides(mirror)["a"]["verify"]["differing"]

    name = mirror.b.order("break")
    mirror.until(lambda: mirror.b.told("done", name))
    mirror.until(lambda: codes(mirror) == ["isolated_equal"])
    assert status_of(sides(mirror)) == "Abnormal"
    assert plan_of_force("md1", "a", sides(mirror)).does == ""

    # The agent of that server does not run: its mirror process is asked itself.
    monkeypatch.setenv("OPENCLP_RUN", str(mirror.b.directory))
    monkeypatch.setenv("OPENCLP_ETC", str(mirror.b.directory))
    (mirror.b.directory / "server").write_text("b")
    assert clpmdstat.main(["-m", "md1"]) == 0
    assert "b stays apart because an operator wished so" in capsys.readouterr().out

    name = mirror.b.order("join")
    mirror.until(lambda: codes(mirror) == ["equal"])
