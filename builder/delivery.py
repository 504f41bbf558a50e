"""Steps of a delivery (agent/daemon/configuration.py), asked of the agents over their connections to the manager.

One connected agent is enough: it hands a step on to the server that is meant.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import uuid
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from django.utils.translation import gettext as _

from agent.clpconf.archive import ArchiveError, Bundle, read_archive
from agent.wire.delivery import LONGEST_S, MOST_BYTES, PART_BYTES, StepError
from webmanager.commands import Step
from webmanager.hub import Hub, hub

_USUAL_S = 15.0
_TAKES_S = 20.0  # for what a person waits for: the configuration with its scripts, from one server

Sent = Callable[[int, int], Awaitable[None]]  # bytes, of how many


class Servers:
    """The agents of one cluster."""

    def __init__(self, there: Hub, cluster: str, by: str) -> None:
        self._there = there
        self._cluster = cluster
        self._by = by

    async def step(self, server: str, step: str, **fields: Any) -> dict[str, Any]:
        """What it found. Raises StepError."""
        limit_s = LONGEST_S.get(step, _USUAL_S)
        asked = Step(id=uuid.uuid4().hex, via=server, configuration={"step": step, **fields}, by=self._by)
        found = await self._there.commands.step(self._cluster, asked, limit_s)
        if not found.ok:
            raise StepError(server, found.reason, found.error or _("%(server)s has no answer.") % {"server": server})
        return found.configuration

    async def put(self, server: str, data: bytes, key: str, sent: Sent) -> None:
        for offset in range(0, len(data), PART_BYTES):
            part = base64.b64encode(data[offset : offset + PART_BYTES]).decode("ascii")
            await self.step(server, "put", id=key, offset=offset, size=len(data), data=part)
            await sent(min(offset + PART_BYTES, len(data)), len(data))

    async def fetch(self, server: str) -> bytes:
        """What runs there with its scripts, as an archive."""
        packed = await self.step(server, "pack")
        data, size = bytearray(), int(packed["size"])
        while len(data) < size <= MOST_BYTES:
            found = await self.step(server, "get", id=packed["id"], offset=len(data))
            part = base64.b64decode(str(found.get("data", "")), validate=True)
            if not part:
                break
            data += part
        if sha256(data).hexdigest() != packed["id"]:
            text = _("The archive of %(server)s did not arrive whole. Try again.") % {"server": server}
            raise StepError(server, "broken", text)
        return bytes(data)


async def running_bundle(*, cluster: str, by: str) -> tuple[Bundle | None, str]:
    """What the cluster runs, with its scripts; or why it cannot be had."""
    there = await hub().ready()
    status = there.status(cluster)
    online = [s["name"] for s in status["servers"].values() if s["status"] in ("Online", "Suspend")] if status else []
    if status is None or not online:
        return None, _("No server of this cluster is online.")
    coordinator = status["cluster"]["coordinator"]
    server = coordinator if coordinator in online else online[0]
    try:
        async with asyncio.timeout(_TAKES_S):
            data = await Servers(there, cluster, by).fetch(server)
        return await asyncio.to_thread(read_archive, data), ""
    except TimeoutError:
        return None, _("%(server)s did not send its configuration in time.") % {"server": server}
    except (StepError, ArchiveError, binascii.Error, KeyError, ValueError) as error:
        return None, str(error)
