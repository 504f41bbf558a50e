"""The end of a session: of a program and all that it started and did not detach."""

from __future__ import annotations

import asyncio
import signal

from agent.drivers import procfs
from agent.drivers.procfs import Process


async def end_session(leader: int, start: int, grace_s: float, limit_s: float) -> list[Process]:
    """SIGTERM to all of it, whether or not its leader still lives, and SIGKILL after `grace_s`.

    Returns when they are gone; `limit_s` after SIGKILL with those whom the kernel does not end.
    """
    loop = asyncio.get_running_loop()
    begun, step_s = loop.time(), 0.002
    told_to_end: set[int] = set()
    members = procfs.session(leader, start)
    while members:
        passed_s = loop.time() - begun
        if passed_s > grace_s + limit_s:
            break
        if passed_s >= grace_s:
            procfs.send(members, signal.SIGKILL)
        else:
            newcomers = [p for p in members if p.pid not in told_to_end]
            procfs.send(newcomers, signal.SIGTERM)
            procfs.send(newcomers, signal.SIGCONT)  # A stopped process would not see SIGTERM.
            told_to_end.update(p.pid for p in newcomers)
        await asyncio.sleep(step_s)
        step_s = min(step_s * 1.5, 0.1)
        # Looking for all members reads the whole of /proc; it is for the end, when the known ones are gone.
        known = [p for p in members if procfs.is_running(p.pid, p.start)]
        members = known or procfs.session(leader, start)
    return members
