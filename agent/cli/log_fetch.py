"""Fetches the packed logs of one server over the agents' control sockets, with limits of time and size."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.cli.client import REFUSED, CommandError, Connection, own_name
from agent.wire.logs import conversation
from agent.wire.logs.archive import Fetched
from agent.wire.logs.conversation import Ask, BrokenError, Pause, Talk
from agent.wire.logs.timeline import Clock

_RETRIES = 3


def fetch(
    server: str, kind: str, most_bytes: int, to: Path, end: float, progress: Callable[[str, int], None]
) -> Fetched:
    """`end`: of time.monotonic(). Everything that goes wrong is in the answer: the others go on."""
    key, source = uuid.uuid4().hex, _Source(server, end)
    path = to / f"{server}.tar.gz"
    try:
        with path.open("wb") as file:
            here = server == own_name()
            talk = conversation.fetch(
                key, kind, most_bytes, file.write, lambda percent: progress(server, percent), own_clock=here
            )
            clock = source.converse(talk)
        return Fetched(server, path, clock)
    except (CommandError, BrokenError) as error:
        return Fetched(server, None, None, str(error))
    except TimeoutError:
        return Fetched(server, None, None, f"{server} did not answer in time.")
    except OSError as error:
        return Fetched(server, None, None, f"The logs of {server} cannot be written: {error.strerror}.")
    finally:
        source.discard(key)


class _Source:
    def __init__(self, server: str, end: float) -> None:
        self._via = {"via": server} if server != own_name() else {}
        self._end = end
        self._began = False

    def converse(self, talk: Talk) -> Clock:
        wish = next(talk)
        try:
            while True:
                if isinstance(wish, Pause):
                    time.sleep(wish.seconds)
                    wish = next(talk)
                else:
                    wish = talk.send(self._ask(wish))
        except StopIteration as done:
            clock: Clock = done.value
            return clock

    def discard(self, key: str) -> None:
        if self._began:
            self._end = max(self._end, time.monotonic() + 2.0)
            with contextlib.suppress(CommandError, TimeoutError):
                self._ask(conversation.discard(key))

    def _ask(self, wish: Ask) -> dict[str, Any]:
        self._began = self._began or wish.step["step"] == "pack"
        for attempt in range(_RETRIES):
            left_s = min(conversation.STEP_S, self._end - time.monotonic())
            if left_s <= 0:
                raise TimeoutError
            try:
                with Connection(left_s) as connection:
                    connection.send({"op": "logs", "logs": wish.step, **({} if wish.here else self._via)})
                    line = connection.receive()
            except CommandError:
                # A daemon that begins anew keeps nothing; a link that breaks does not matter.
                if attempt == _RETRIES - 1:
                    raise
                continue
            if not line.get("ok"):
                raise CommandError(REFUSED, str(line.get("error") or "The agent gave no answer."))
            return dict(line["logs"])
        raise TimeoutError
