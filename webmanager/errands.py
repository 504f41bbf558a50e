"""Questions to agents from a process that has no connections to them and no hub, such as a Celery worker.

Any web process takes the question over the message server and asks on, wherever the agent is connected. Nothing that
can be asked here changes anything, so a question that got lost is asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from types import TracebackType
from typing import Any

from channels.layers import get_channel_layer

from webmanager import frames
from webmanager.bus import GROUP
from webmanager.commands import Consult
from webmanager.reducer import encode

_SEEK_S = 1.0
_TRY_S = 8.0  # then another web process is looked for: this one may have gone
_MARGIN_S = 3.0  # The web process's own deadline passes first, so that its word reaches us.


class Errands:
    """For one running event loop; its messages come through a channel of its own."""

    def __init__(self) -> None:
        self._id = f"errand-{uuid.uuid4().hex}"
        self._layer: Any = get_channel_layer()
        self._channel = ""
        self._web = ""  # the channel of a web process that answered
        self._here = asyncio.Event()
        self._asked: dict[str, asyncio.Future[frames.Consulted]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Errands:
        self._channel = await self._layer.new_channel()
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reader is not None
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        with contextlib.suppress(Exception):  # Whatever a broken message server says: nothing is left to do.
            await self._layer.flush()

    async def consult(self, cluster: str, question: Consult, deadline_s: float) -> frames.Consulted:
        """Asked again, perhaps of another web process, until the deadline."""
        end = time.monotonic() + deadline_s
        while (left_s := end - time.monotonic()) > 0:
            if not await self._somebody(left_s):
                continue
            found = await self._ask(cluster, question, min(_TRY_S, left_s))
            if found is not None:
                return found
            self._web = ""
        text = f"No web process of the manager answered within {deadline_s:.0f} s."
        return frames.Consulted(id=question.id, ok=False, error=text, reason="no_manager")

    async def _somebody(self, left_s: float) -> bool:
        if self._web:
            return True
        self._here.clear()
        wait_s = min(_SEEK_S, left_s)
        try:
            await self._layer.group_send(GROUP, self._message("seek"))
            async with asyncio.timeout(wait_s):
                await self._here.wait()
        except TimeoutError:
            return False
        except Exception:  # redis-py's own errors share no base class with OSError.
            await asyncio.sleep(wait_s)
            return False
        return True

    async def _ask(self, cluster: str, question: Consult, left_s: float) -> frames.Consulted | None:
        future: asyncio.Future[frames.Consulted] = asyncio.get_running_loop().create_future()
        self._asked[question.id] = future
        try:
            message = self._message("errand", cluster=cluster, consult=encode(question), left_s=left_s)
            await self._layer.send(self._web, message)
            async with asyncio.timeout(left_s + _MARGIN_S):
                return await future
        except TimeoutError:
            return None
        except Exception:
            await asyncio.sleep(min(_SEEK_S, left_s))
            return None
        finally:
            del self._asked[question.id]

    def _message(self, kind: str, **more: Any) -> dict[str, Any]:
        return {"type": "hub", "kind": kind, "from": self._id, "channel": self._channel, **more}

    async def _read(self) -> None:
        while True:
            message = await self._layer.receive(self._channel)
            if message["kind"] == "here" and not self._here.is_set():
                self._web = message["channel"]
                self._here.set()
            elif message["kind"] == "told":
                frame = frames.decode(message["frame"])
                future = self._asked.get(getattr(frame, "id", ""))
                if isinstance(frame, frames.Consulted) and future is not None and not future.done():
                    future.set_result(frame)
