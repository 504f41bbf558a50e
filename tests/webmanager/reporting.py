"""A cluster that one agent reports and that answers commands, for tests of the REST interface."""

from __future__ import annotations

import asyncio
import contextlib
import json

from tests.webmanager.stack import FakeAgent, agent, note, report


@contextlib.asynccontextmanager
async def reporting(manager, cluster, secret, answer=None):
    """One agent that reports three servers and answers every command by `answer(agent, command)`."""
    async with agent(manager, cluster, "server1", secret) as one:
        await one.hello()
        notes = tuple(note(n) for n in range(3))
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"), notes=notes)
        await manager.everywhere(f"/api/v1/groups/failover1?cluster={cluster}")
        answering = asyncio.create_task(obey(one, answer or done)) if answer is not False else None
        try:
            yield one
        finally:
            if answering:
                answering.cancel()


async def obey(one: FakeAgent, answer) -> None:
    async for text in one.socket:
        command = json.loads(text)
        one.commands.append(command)
        await answer(one, command)


async def done(one: FakeAgent, command) -> None:
    await one.send({"type": "progress", "id": command["id"], "text": "on the way"})
    await one.result(command["id"])
