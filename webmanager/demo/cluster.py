"""A cluster of agents in the bed: puts the configuration on each server, starts the agents, asks them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webmanager.demo.arbiters import Arbiters
from webmanager.demo.bed import RUN, Bed
from webmanager.demo.configuration import GroupPlan, Plan, clp_conf, cluster_key, resolvers_of, scripts
from webmanager.demo.machine import DISK, BedError, Job, MachineGoneError, until

FIRST_FIP = 101  # host number of the first floating address on the public LAN
FIRST_PORT = 8081
ANSWER_LIMIT = 4_000_000
COMMANDS = (
    "clpstat", "clpcl", "clpgrp", "clpmonctrl", "clpfence", "clpdisknp", "clpmdstat", "clpmdctrl", "clpmdinit",
    "clpbackup", "clprestore", "clpcfset", "clpcfget", "clpcfctrl", "clplogcc", "clplogcmd", "clpdrill", "clpperfc",
)  # fmt: skip
Status = dict[str, Any]


def demo_plan(bed: Bed, groups: int = 2, *, services: bool = True, **settings: Any) -> Plan:
    """Group n prefers server n, then the next ones in a ring; every LAN carries heartbeats."""
    public = bed.lans_of("client")[0]
    servers = bed.servers
    wanted = tuple(
        GroupPlan(
            name=f"failover{number + 1}",
            address=bed.address(FIRST_FIP + number, public),
            policy=tuple(servers[(number + step) % len(servers)] for step in range(len(servers))),
            port=FIRST_PORT + number if services else 0,
        )
        for number in range(groups)
    )
    addresses = {server: tuple(bed.address(server, lan) for lan in bed.lans[:-1]) for server in servers}
    ping = settings.pop("ping", bed.address("client", public))
    return Plan(addresses, wanted, ping=ping, witness=bed.witness, **settings)


class DemoCluster:
    """The agents and what an administrator would do to their servers."""

    def __init__(self, bed: Bed, plan: Plan) -> None:
        self.bed = bed
        self.plan = plan
        self.agents: dict[str, Job] = {}
        self.key = cluster_key()
        self.arbiters = Arbiters(bed, resolvers_of(plan), plan.name, self.key)

    # ---- installation ----
    def install(self, managers: Mapping[str, str] | None = None) -> None:
        """`managers`: server -> content of its manager.json; with it the manager is the witness as well."""
        for server in self.bed.servers:
            etc = self.disk(server) / "etc"
            _write(etc / "clp.conf", clp_conf(self.plan))
            _write(etc / "cluster.key", f"{self.key}\n".encode(), 0o600)
            if managers:
                _write(etc / "manager.json", managers[server].encode(), 0o600)
            for path, content in scripts(self.plan).items():
                _write(etc / "scripts" / path, content.encode(), 0o755)
            for command in COMMANDS:
                script = f'#!/bin/sh\nexec {sys.executable} -m agent.cli.{command} "$@"\n'
                _write(self.disk(server) / "bin" / command, script.encode(), 0o755)
            self._make_mirror(server)
        self.arbiters.install(own_witness=managers is None)

    def _make_mirror(self, server: str) -> None:
        """Empty files in the place of partitions, where the server has none yet."""
        mirror = self.plan.mirror
        for inside, size_mib in ((mirror.data, mirror.size_mib), (mirror.partition, 10)) if mirror is not None else ():
            place = self.disk(server) / Path(inside).relative_to(DISK)
            if not place.exists():
                _write(place, b"", 0o600)
                os.truncate(place, size_mib << 20)

    def disk(self, server: str) -> Path:
        """The server's disk as the caller sees it; there with and without power."""
        return self.bed.switch.path(f"/run/bed/{server}")

    # ---- agents ----
    def start_agent(self, server: str) -> None:
        out = self.disk(server) / "log" / "clpd.out"
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            argv = [sys.executable, "-m", "agent.daemon.supervisor"]
            self.agents[server] = self.bed[server].spawn(argv, stdout=fd, stderr=fd)
        finally:
            os.close(fd)

    def start_agents(self) -> None:
        for server in self.bed.servers:
            self.start_agent(server)

    def ask(self, server: str, request: Mapping[str, Any], timeout_s: float = 5.0) -> dict[str, Any]:
        """One request to the agent's control socket; its last answer line. BedError when it does not answer."""
        try:
            path = self.bed[server].path(f"{RUN}/agent.sock")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(timeout_s)
                client.connect(str(path))
                client.sendall(json.dumps(request).encode() + b"\n")
                for line in client.makefile("rb"):
                    answer = json.loads(line[:ANSWER_LIMIT])
                    if "progress" not in answer:
                        return dict(answer)
        except MachineGoneError as error:
            raise BedError(str(error)) from error
        except (OSError, ValueError) as error:
            raise BedError(f"the agent of {server} does not answer: {error}") from error
        raise BedError(f"the agent of {server} closed the connection without an answer")

    def status(self, server: str = "") -> Status:
        """The cluster as one agent sees it; without a name, the first that answers."""
        reasons = []
        for name in [server] if server else self.bed.servers:
            if name in self.bed.faults.frozen:
                continue
            with contextlib.suppress(BedError):
                answer = self.ask(name, {"op": "status"}, timeout_s=2.0)
                if answer.get("ok"):
                    return dict(answer["status"])
                reasons.append(str(answer.get("error")))
        raise BedError(f"no agent told the status {' '.join(reasons)}".strip())

    def run(self, server: str, *argv: str, timeout_s: float = 60.0, check: bool = True) -> str:
        """A command on a server, as its administrator would type it: run("server1", "clpgrp", "-m", "failover1")."""
        path = f"{DISK}/bin:{self.bed[server].environment['PATH']}"
        return self.bed[server].run(
            ["/bin/sh", "-c", 'exec "$@"', "sh", *argv],
            environment={"PATH": path}, timeout_s=timeout_s, check=check,
        ).out  # fmt: skip

    # ---- what the client and the servers show ----
    def targets(self) -> dict[str, tuple[str, int]]:
        """Group -> where its service answers."""
        return {group.name: (group.address, group.port or FIRST_PORT) for group in self.plan.groups}

    def owners(self, address: str) -> list[str]:
        """Servers whose kernel has this address now: the truth, whatever the agents say."""
        found = []
        for server in self.bed.servers:
            with contextlib.suppress(BedError):
                if f" {address}/" in self.bed[server].run(["ip", "-o", "address"]).out:
                    found.append(server)
        return found

    def online(self) -> str:
        """Empty when every server with power and every group is Online, else what is not, in words."""
        try:
            status = self.status()
        except BedError as error:
            return str(error)
        alive = [name for name in self.bed.servers if self.bed[name].on and name not in self.bed.faults.frozen]
        wrong = [f"{name} is {status['servers'].get(name, {}).get('status')}" for name in alive
                 if status["servers"].get(name, {}).get("status") != "Online"]  # fmt: skip
        wrong += [f"{name} is {group['status']}" for name, group in status["groups"].items()
                  if group["status"] != "Online"]  # fmt: skip
        return ", ".join(wrong)

    def wait_online(self, timeout_s: float) -> float:
        last = ["nothing yet"]

        def well() -> bool:
            last[0] = self.online()
            return not last[0]

        return until(well, "all servers and groups Online", timeout_s, 0.05, lambda: last[0])

    # ---- what happens to servers ----
    def crash(self, server: str) -> None:
        self.bed.faults.power_off(server)

    def hang(self, server: str) -> None:
        self.bed.faults.freeze(server)

    def recover(self, server: str) -> None:
        """Power on, or go on after a hang; the agent starts as it would at boot."""
        if server in self.bed.faults.frozen:
            self.bed.faults.thaw(server)
        if not self.bed[server].on:
            self.bed.faults.power_on(server)
        if server not in self.agents or not self.agents[server].running():
            self.start_agent(server)

    def tails(self, lines: int = 25) -> str:
        """The end of every agent's logs, for an error report."""
        out = []
        for server in self.bed.servers:
            for name in ("clpd.out", "agent.log"):
                with contextlib.suppress(OSError, BedError):
                    text = (self.disk(server) / "log" / name).read_text(errors="replace")
                    tail = "\n".join(text.splitlines()[-lines:])
                    out.append(f"---- {server}: {name} ----\n{tail}")
        return "\n".join(out)

    def save_logs(self, directory: Path) -> None:
        """Copies the logs of all servers out of the bed, before it goes."""
        for server in self.bed.servers:
            with contextlib.suppress(OSError, BedError, shutil.Error):
                shutil.copytree(self.disk(server) / "log", directory / server, dirs_exist_ok=True)


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(content)
