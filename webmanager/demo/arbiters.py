"""What network partition resolution needs beside the servers: a witness outside, a disk that all of them see."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.wire.witness import derive_secret, path_of, view_token
from webmanager.demo.faults import WITNESS_PORT
from webmanager.demo.machine import BedError, Job, until

if TYPE_CHECKING:
    from webmanager.demo.bed import Bed

RESOLVERS = ("majority", "ping", "witness", "disk")
SHARED_DISK = "/run/server/shared.img"  # as each server sees it
_HOME = "/run/bed/witness"  # of the witness, on the switch
_IMAGE = "/run/bed/shared.img"
_START_S = 20.0


class Arbiters:
    """The witness is the manager, or without one a process on the switch; reached over the LAN without heartbeats."""

    def __init__(self, bed: Bed, resolvers: Sequence[str], cluster: str, key: str) -> None:
        self._bed = bed
        self._wanted = frozenset(resolvers)
        self._cluster = cluster
        self._secret = derive_secret(key.strip().encode())
        self._witness: Job | None = None

    def install(self, *, own_witness: bool = True) -> None:
        """After clp.conf stands on the servers. Without `own_witness` the manager is the one (Console.witness)."""
        if "disk" in self._wanted:
            self._make_disk()
        if "witness" in self._wanted and own_witness:
            self.start_witness()

    @property
    def with_witness(self) -> bool:
        return "witness" in self._wanted

    def introduction(self) -> str:
        """CLUSTER SECRET, as a witness wants to have it."""
        return f"{self._cluster} {self._secret.hex()}"

    def start_witness(self) -> None:
        """Also again, with what it has promised before."""
        self._bed.switch.sh(f"mkdir -p {_HOME}; umask 077; echo '{self.introduction()}' >{_HOME}/secret")
        out = self._bed.switch.path(f"{_HOME}/log")
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        argv = [
            sys.executable, "-m", "agent.witness.server", "--listen", f"{self._bed.witness}:{WITNESS_PORT}",
            "--state", f"{_HOME}/state", "--secret-file", f"{_HOME}/secret",
        ]  # fmt: skip
        try:
            self._witness = self._bed.switch.spawn(argv, stdout=fd, stderr=fd)
        finally:
            os.close(fd)
        with contextlib.suppress(BedError):
            until(lambda: "listening" in out.read_text() or not self._running(), "the witness", _START_S)
        if not self._running():
            raise BedError(f"the witness did not start: {out.read_text().strip()}")

    def stop_witness(self) -> None:
        """As if its machine had lost its power."""
        if self._witness is None:
            raise BedError(
                "this cluster has no witness of its own; start the demo with --resolver witness --no-manager"
            )
        self._witness.kill()
        self._witness.wait(_START_S)

    def text(self) -> list[str]:
        """For a person: how to look at the witness."""
        if not self.with_witness:
            return []
        place = f"http://{self._bed.witness}:{WITNESS_PORT}{path_of(self._cluster)}"
        return [f"witness: curl -H 'Authorization: Bearer {view_token(self._secret)}' {place} (from a server)"]

    def _running(self) -> bool:
        return self._witness is not None and self._witness.running()

    def _make_disk(self) -> None:
        """One file that stands under one name on each server, as a LUN does."""
        links = "".join(f"ln -f {_IMAGE} /run/bed/{server}/shared.img\n" for server in self._bed.servers)
        self._bed.switch.sh(f"truncate -s 2M {_IMAGE}\n{links}")
        conf = f"/run/bed/{self._bed.servers[0]}/etc/clp.conf"
        self._bed.switch.run([sys.executable, "-m", "agent.cli.clpdisknp", "init", "--conf", conf, _IMAGE])


def resolvers_xml(resolvers: Sequence[str], ping: str, witness: str) -> str:
    """<networkpartition>, "" without any."""
    rows = {
        "majority": '<majonp name="majonp1"><priority>{}</priority></majonp>',
        "ping": '<pingnp name="pingnp1"><priority>{}</priority><device>10200</device>'
        f'<grp id="0"><list id="0"><ip>{ping}</ip></list></grp></pingnp>',
        "witness": '<httpnp name="httpnp1"><priority>{}</priority><device>10700</device>'
        f"<host>{witness}</host><port>{WITNESS_PORT}</port></httpnp>",
        "disk": '<disknp name="disknp1"><priority>{}</priority><device>10100</device></disknp>',
    }
    types = {"majority": "majonp", "ping": "pingnp", "witness": "httpnp", "disk": "disknp"}
    if not resolvers:
        return ""
    names = "".join(f'<types name="{types[resolver]}"/>' for resolver in resolvers)
    body = "".join(rows[resolver].format(number) for number, resolver in enumerate(resolvers))
    return f"<networkpartition>{names}{body}</networkpartition>"


def devices_xml(resolvers: Sequence[str]) -> str:
    """What each server's devices say about them."""
    devices = {"ping": (10200, "ping", "1"), "witness": (10700, "http", "1"), "disk": (10100, "disknp", SHARED_DISK)}
    return "".join(
        f'<device id="{number}"><type>{kind}</type><info>{info}</info></device>'
        for number, kind, info in (devices[resolver] for resolver in resolvers if resolver in devices)
    )
