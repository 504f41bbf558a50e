"""Answers what servers have (op "inventory"): this one by looking, the others by asking their agents.

One agent asks for all, so that the offsets of the clocks are against one clock. A server that does not answer is left
out and named; the answer is complete without it only when nobody was left out (code 0, else 3).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from agent.ports import DriverError, Network
from agent.wire.inventory import Inventory, LiveCheck
from agent.wire.peer import Answer, Request

if TYPE_CHECKING:
    from agent.daemon.observer import Observer

_LONGEST_S = 60.0
_MOST_BYTES = 3 << 20  # of one answer; a frame to the manager holds 4 MiB

Look = Callable[[LiveCheck], Awaitable[Inventory]]
Forward = Callable[[str, dict[str, Any], float], AsyncGenerator[dict[str, Any], None]]


async def look(me: str, network: Network, check: LiveCheck) -> Inventory:
    # Few agents are ever asked, and then rarely: nobody else pays for it.
    from agent.drivers.inventory import gather

    return await gather(me, check, network)


async def inventory_of(
    request: Request, observer: Observer, look: Look | None, forward: Forward | None, wait_s: float
) -> Answer:
    """`request.target` is a server, "" for all of them."""
    names = observer.cluster.server_names
    if request.target and request.target not in names:
        text = f"There is no server {request.target}; this cluster has {', '.join(names)}."
        return Answer(id=request.id, code=2, reason="unknown_server", text=text)
    asked = (request.target,) if request.target else names
    limit_s = max(1.0, min(wait_s, _LONGEST_S))
    told = await asyncio.gather(
        *(_of_one(name, name == observer.me, request, look, forward, limit_s) for name in asked)
    )
    found = {name: one for name, one in zip(asked, told, strict=True) if isinstance(one, Inventory)}
    missing = [f"{name}: {one}" for name, one in zip(asked, told, strict=True) if not isinstance(one, Inventory)]
    if len(msgspec.json.encode(found)) > _MOST_BYTES:
        return Answer(id=request.id, code=3, reason="too_large", text="The servers have too much; ask one at a time.")
    if missing:
        text = f"Not every server answered. {' '.join(missing)}"
        return Answer(id=request.id, code=3, reason="not_all", text=text, inventories=found)
    return Answer(id=request.id, code=0, text=f"{len(found)} servers answered.", inventories=found)


async def _of_one(
    name: str, here: bool, request: Request, look: Look | None, forward: Forward | None, limit_s: float
) -> Inventory | str:
    """What it has, or a sentence why that is not known."""
    sent_s = time.time()
    try:
        async with asyncio.timeout(limit_s):
            if here and look is not None:
                found: Inventory | str = await look(request.checks.get(name, LiveCheck()))
            elif forward is not None:
                found = await _asked(name, request, forward, limit_s)
            else:
                found = "There is no link to its agent."
    except DriverError as error:
        return f"{error.detail}."
    except TimeoutError:
        return f"It did not answer within {limit_s:g} s."
    return found.heard(sent_s, time.time()) if isinstance(found, Inventory) else found


async def _asked(name: str, request: Request, forward: Forward, limit_s: float) -> Inventory | str:
    checks = {name: request.checks[name]} if name in request.checks else {}
    wish = {"op": "inventory", "target": name, "by": request.by, "checks": msgspec.to_builtins(checks)}
    text = "It gave no answer."
    async for line in forward(name, {"op": "ask", "request": wish, "wait_s": limit_s}, limit_s):
        if "error" in line:
            return str(line["error"])
        answer = line.get("answer") or {}
        if name in answer.get("inventories", {}):
            try:
                return msgspec.convert(answer["inventories"][name], Inventory)
            except msgspec.ValidationError as error:
                return f"Its answer is not understood: {error}."
        text = str(answer.get("text", text))
    return text
