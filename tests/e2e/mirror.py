"""A mirror of two servers in the bed, and a service on it that keeps a ledger of what was acknowledged."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import clean_bed
from tests.e2e.stage import Stage
from webmanager.demo.bed import Bed
from webmanager.demo.cluster import demo_plan
from webmanager.demo.configuration import Mirror
from webmanager.demo.machine import DISK, BedError, until

NAME = "md1"
POINT = "/run/md1"
MIRROR = "agent.mirrord.main"
CONSTRUCT_S, HEAL_S = 60.0, 60.0
# Writes a number, has it on stable storage, and only then says so on the server's own disk.
LEDGER = f"""
import os, sys, time
book = os.open("{POINT}/ledger", os.O_RDWR | os.O_CREAT | os.O_APPEND)
said = os.open("{DISK}/said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
number = os.fstat(book).st_size // 8
while True:
    number += 1
    os.write(book, b"%07d\\n" % number)
    os.fsync(book)
    os.write(said, b"%07d\\n" % number)
    time.sleep(0.005)
"""


def mirror_plan(bed: Bed, **settings: Any) -> Any:
    watched = "".join(_monitor(kind) for kind in ("mdw", "mdnw"))
    return demo_plan(bed, groups=1, majority=False, resolvers=("witness",), extra_monitors=watched,
                     **{"mirror": Mirror(), **settings})  # fmt: skip


def _monitor(kind: str) -> str:
    return (
        f'<types name="{kind}"/><{kind} name="{kind}1"><comment/><target/>'
        f"<parameters><object>{NAME}</object></parameters><polling><timing>0</timing><interval>1</interval><timeout>5</timeout><reconfirmation>2</reconfirmation>"
        "</polling>"
        "<relation><type>cls</type><name>LocalServer</name></relation>"
        "<emergency><threshold><restart>0</restart><fo>0</fo></threshold><action>1</action></emergency>"
        f"</{kind}>"
    )


class MirrorStage(Stage):
    """Both servers up, md1 constructed and GREEN on both, the ledger written on server1."""

    def __init__(self, bed: Bed, *, beside: str = "", **settings: Any) -> None:
        """`beside`: shell lines that start what runs beside the ledger."""
        super().__init__(bed, mirror_plan(bed, **settings))
        self.beside = beside

    def install(self) -> None:
        self.cluster.install()
        for server in self.bed.servers:
            work = self.cluster.disk(server)
            (work / "ledger.py").write_text(LEDGER)
            self.script(server, "start.sh", f"{self.beside}exec {sys.executable} -I -S {DISK}/ledger.py")

    def __enter__(self) -> MirrorStage:
        self.install()
        self.cluster.start_agents()
        self.cluster.wait_online(CONSTRUCT_S)
        self.equal()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def kill(self, server: str, process: str) -> None:
        """Until another one is there."""
        old = set(self.bed[server].pids(process))
        self.faults.kill(server, process)
        until(lambda: bool(set(self.bed[server].pids(process)) - old), f"a new {process} on {server}", HEAL_S)
        if process == MIRROR:
            until(lambda: bool(self.side(server)), f"{process} speaks on {server}", HEAL_S, 0.1)

    # ---- the mirror ----
    def side(self, server: str) -> dict[str, Any]:
        """As that server's own mirror process says it; {} while it says nothing."""
        try:
            found: dict[str, Any] | None = self.status(server)["mirrors"][NAME]["servers"][server]
        except BedError:
            return {}
        return found or {}

    def equal(self) -> None:
        until(
            lambda: all(self.side(server).get("relation") == "equal" for server in self.bed.servers),
            "both sides of md1 are equal", HEAL_S, 0.1,
        )  # fmt: skip

    def goes_alone(self, server: str) -> None:
        until(lambda: self.side(server).get("mode") == "alone", f"md1 goes on alone on {server}", HEAL_S, 0.1)

    def active(self, server: str) -> None:
        until(lambda: bool(self.side(server).get("active")), f"md1 is active on {server}", HEAL_S, 0.1)

    def monitored(self, monitor: str, server: str, state: str) -> None:
        until(
            lambda: self.status(server)["monitors"][monitor]["servers"][server]["status"] == state,
            f"{monitor} on {server} is {state}", HEAL_S, 0.1,
        )  # fmt: skip

    # ---- the ledger ----
    def _numbers(self, path: Path) -> list[int]:
        try:
            return [int(line) for line in path.read_bytes().split(b"\n")[:-1]]
        except FileNotFoundError:
            return []

    def said(self, server: str) -> list[int]:
        """What the service on that server has called durable, oldest first; known with and without power."""
        return self._numbers(self.cluster.disk(server) / "said")

    def ledger(self, server: str) -> list[int]:
        """What stands in the file, read through that server's mount."""
        return self._numbers(self.bed[server].path(f"{POINT}/ledger"))

    def writes(self, server: str, more: int = 20) -> None:
        """The service there goes on."""
        before = len(self.said(server))
        until(lambda: len(self.said(server)) >= before + more, f"the ledger grows on {server}", HEAL_S, 0.05)

    def kept(self, server: str) -> None:
        """Every record that any server was told to be durable stands in the ledger, each once."""
        # In this order: the service writes on.
        acknowledged = {number for name in self.bed.servers for number in self.said(name)}
        found = self.ledger(server)
        assert acknowledged <= set(found), sorted(acknowledged - set(found))[:10]
        assert len(found) == len(set(found))


@contextlib.contextmanager
def mirror_stage(shape: Mirror | None = None) -> Iterator[MirrorStage]:
    """What the agents and the mirror processes said last is shown when the test fails."""
    with clean_bed(2) as bed:
        stage = MirrorStage(bed, mirror=shape) if shape else MirrorStage(bed)
        try:
            with stage:
                yield stage
        finally:
            with contextlib.suppress(BedError):
                print(stage.cluster.tails(60))
                print(*(f"{server}: {stage.log(server, f'{NAME}.log')[-4000:]}" for server in bed.servers), sep="\n")


@pytest.fixture
def mirror() -> Iterator[MirrorStage]:
    with mirror_stage() as stage:
        yield stage
