"""Servers of a cluster as a manager meets them: they take a delivery, and tell of a change as the test wishes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed

from agent.clpconf.archive import Bundle, Script, read_archive, write_archive
from agent.wire.epoch import Epoch
from agent.wire.peer import Table
from agent.wire.switch import Applying, Switch, config_id
from tests.webmanager.stack import SERVERS, FakeAgent, Server, agent, config, note, report

PART = 256 << 10


class FakeServers:
    """`runs`: what they run. `fails`: (server, step) -> why that step cannot be done there. What came is kept."""

    def __init__(self, cluster: str, connected: tuple[str, ...] = SERVERS) -> None:
        self.cluster = cluster
        self.connected = connected
        scripts = {f"failover{n}/exec{n}/{name}": Script(b"#!/bin/sh\nexit 0\n", 0o755)
                   for n in (1, 2) for name in ("start.sh", "stop.sh")}  # fmt: skip
        self.runs = Bundle(config(cluster), scripts)
        self.agents: dict[str, FakeAgent] = {}
        self.came: dict[str, bytearray] = {}
        self.steps: list[tuple[str, str]] = []
        self.through: set[str] = set()  # agents over which steps came
        self.fails: dict[tuple[str, str], str] = {}
        self.requests: list[dict[str, Any]] = []
        self.hold: asyncio.Event | None = None  # stores wait for it
        self.service = "online"
        self.looks = False  # whether they answer what they have, which is nothing
        self._seq = 1
        self._notes = 0

    @property
    def origin(self) -> str:
        return config_id(self.runs.conf)

    def stored(self, server: str = "server1") -> Bundle:
        return read_archive(bytes(self.came[server]))

    async def of(self, step: str) -> list[str]:
        """Servers that were asked for it, as soon as there is one."""
        while not (found := [server for server, one in self.steps if one == step]):
            await asyncio.sleep(0.02)
        return sorted(found)

    async def asked(self, op: str) -> dict[str, Any]:
        """The first request for it, as soon as it came."""
        while not (found := [one for one in self.requests if one["op"] == op]):
            await asyncio.sleep(0.02)
        return found[0]

    async def serve(self, one: FakeAgent) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in one.socket:
                order = json.loads(text)
                if order["type"] == "configuration":
                    self.through.add(one.node)
                    await one.send({"type": "configuration_result", "id": order["id"], **await self._step(order)})
                elif order["type"] == "command":
                    self.requests.append(order["request"])
                    await one.result(order["id"], **self._answer(order["request"]))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "inventory":
            return {"code": 0, "text": "Begun."}
        if not self.looks:
            return {"code": 3, "text": "Nobody looked."}
        return {"code": 0, "inventories": {name: {"server": name} for name in SERVERS}}

    async def _step(self, order: dict[str, Any]) -> dict[str, Any]:
        server, asked = order["via"], order["configuration"]
        step = asked["step"]
        self.steps.append((server, step))
        if why := self.fails.get((server, step)):
            return {"ok": False, "error": why, "reason": "failed"}
        if step == "store" and self.hold is not None:
            await self.hold.wait()
        return {"ok": True, "configuration": self._done(server, step, asked)}

    def _done(self, server: str, step: str, asked: dict[str, Any]) -> dict[str, Any]:
        archive = write_archive(self.runs) if step in ("pack", "get") else b""
        if step == "pack":
            return {"id": sha256(archive).hexdigest(), "size": len(archive), "edited": False}
        if step == "get":
            part = archive[asked["offset"] : asked["offset"] + PART]
            return {"data": base64.b64encode(part).decode()}
        if step == "put":
            data = self.came.setdefault(server, bytearray()) if asked["offset"] else bytearray()
            self.came[server] = data + base64.b64decode(asked["data"])
        if step == "state":
            return {
                "server": server, "service": self.service, "holds": True, "incarnation": 1, "switching": False,
                "hash": sha256(self.runs.conf).hexdigest(),
            }  # fmt: skip
        return {"kept": "before", "words": [], "groups": [], "level": "monitor"}

    # What they say of themselves.

    async def say(self, change: Applying | None = None, **more: Any) -> None:
        """All of them, over each agent; `change` is what their coordinator drives, `more` stands in each report."""
        self._seq += 1
        table = Table(epoch=Epoch(1, 0), version=self._seq, applying=change)
        said = [report(s, self._seq, runs=self._runs(s), **{"config": self.origin, **more}) for s in SERVERS]
        for one in self.agents.values():
            await one.change(*said, table=msgspec.to_builtins(table))

    @staticmethod
    def _runs(server: str) -> tuple[str, ...]:
        return ("failover1", "failover2") if server == "server1" else ()

    async def wrote(self, event: int, *params: str) -> None:
        self._notes += 1
        one = next(iter(self.agents.values()))
        await one.change(notes=(
            note(self._notes, " ".join(params), module="cp", event=event, params=list(params), kind="cluster",
                 name=self.cluster, id=f"{self.cluster}:1:{self._notes}", time=asyncio.get_running_loop().time() + 2e9),
        ))  # fmt: skip

    def switch(self, request: dict[str, Any], **more: Any) -> Switch:
        return Switch(
            id=request["id"], to=request["target"], origin=self.origin, key="k", members=SERVERS, by=request["by"],
            why=request["why"], confirm_s=request["confirm_s"], **more,
        )  # fmt: skip

    def trying(self, request: dict[str, Any]) -> Applying:
        """On trial, for as long as was wished (the fake agents' clock is that of the day)."""
        import time

        return Applying(switch=self.switch(request), phase="trying", until=time.time() + request["confirm_s"])


@contextlib.asynccontextmanager
async def joined(manager: Server, servers: FakeServers, register: Callable[..., str]) -> AsyncIterator[FakeServers]:
    """Connected, and known to the manager."""
    async with contextlib.AsyncExitStack() as stack:
        tasks = []
        for name in servers.connected:
            one = await stack.enter_async_context(agent(manager, servers.cluster, name, register(name)))
            servers.agents[name] = one
            data = servers.runs.conf
            await one.hello(config=base64.b64encode(data).decode(), config_hash=sha256(data).hexdigest())
            said = [report(s, servers._seq, runs=servers._runs(s), config=servers.origin) for s in SERVERS]
            await one.snapshot(*said)
            tasks.append(asyncio.create_task(servers.serve(one)))
        path = f"/api/v1/configuration/change?cluster={servers.cluster}"
        await manager.everywhere(path, lambda status, body: len(body.get("change", {}).get("servers", ())) == 3)
        try:
            yield servers
        finally:
            for task in tasks:
                task.cancel()
