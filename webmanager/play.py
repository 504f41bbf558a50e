"""The simulator in a process of its own: `python -m webmanager.play` takes a question on its input and ends.

A question may ask for more work than anybody wants to wait for. So its processor time and memory are limited by the
kernel, it runs behind everything else, and it can neither keep the manager's event loop from its work nor outlive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
import weakref
from typing import TYPE_CHECKING, Any

import msgspec

from agent.clpconf.model import Cluster

if TYPE_CHECKING:
    from agent.sim.story import Story
    from agent.sim.whatif import Outlook

log = logging.getLogger(__name__)

LIMIT_S = 30.0
_CPU_S = 30
_TOO_LONG = f"The simulator had no answer within {LIMIT_S:.0f} s; ask for fewer events."
_MEMORY = 2 * 1024**3
_AT_ONCE = 2
_PATIENCE_S = 10.0
_NICE = 10
_SETTLED_TIMEOUTS = 6.0  # after which what was off or suspended before the first event makes no more difference


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One or several plays; each begins from the same state. `placed` None: where all is well."""

    cluster: Cluster
    plays: tuple[tuple[str, ...], ...]
    placed: dict[str, str] | None = None
    off: tuple[str, ...] = ()
    suspended: bool = False


class Told(msgspec.Struct, kw_only=True):
    story: dict[str, Any] | None = None
    error: str = ""


class BusyError(Exception):
    pass


class FailedError(Exception):
    pass


_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


async def ask(question: Question) -> list[Told]:
    """Raises BusyError, FailedError."""
    slots = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await slots.acquire()
    except TimeoutError:
        raise BusyError("The simulator is busy with other questions. Ask again in a few seconds.") from None
    try:
        return await _asked(question)
    finally:
        slots.release()


async def _asked(question: Question) -> list[Told]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "webmanager.play",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate(msgspec.json.encode(question))
    except TimeoutError:
        raise FailedError(_TOO_LONG) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise FailedError(_TOO_LONG)
    if process.returncode:
        log.error("the simulator ended with %d: %s", process.returncode, err.decode(errors="replace")[-2000:])
        raise FailedError("The simulator failed at this question; see the manager's log.")
    return msgspec.json.decode(out, type=list[Told])


# In the child.


def main() -> None:
    from webmanager.supervisor import die_with_parent

    die_with_parent()
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(question)))


def answer(question: Question) -> list[Told]:
    from agent.catalog import specs
    from agent.sim.whatif import Outlook

    outlook = Outlook(question.cluster, {name: spec.depends_on for name, spec in specs().items()})
    stopped: set[str] = set()
    if question.placed is not None:
        stopped = {group.name for group in question.cluster.groups} - question.placed.keys()
        outlook.placement = question.placed
    return [_told(outlook, question, events, stopped) for events in question.plays]


def _told(outlook: Outlook, question: Question, events: tuple[str, ...], stopped: set[str]) -> Told:
    from agent.sim.script import ScriptError
    from agent.sim.steady import NotSteadyError

    before = _before(question)
    begin = len(before) * _SETTLED_TIMEOUTS * question.cluster.timeout_s
    try:
        if before and outlook.whole(outlook.ask(before, stopped), stopped).touched:
            return Told(error="The simulator does not come to the state that is shown, so it cannot go on from there.")
        story = outlook.whole(outlook.ask((*before, *(_later(event, begin) for event in events)), stopped), stopped)
    except ScriptError as error:
        return Told(error=f"Event {error.line - len(before)}: {error.text} {error.remedy}")
    except NotSteadyError:
        return Told(error="The simulator does not take the shown state for one at rest; ask again when it is.")
    return Told(story=_shown(story, events, begin))


def _before(question: Question) -> tuple[str, ...]:
    """What makes a cluster in which all is well the one that is shown; one after the other, as it usually came."""
    pause_s = _SETTLED_TIMEOUTS * question.cluster.timeout_s
    on = [name for name in question.cluster.server_names if name not in question.off]
    steps = [f"crash {server}" for server in question.off]
    if question.suspended and on:
        steps.append(f"ask {on[0]} cluster_suspend")
    return tuple(f"at {number * pause_s:g} {step}" for number, step in enumerate(steps))


def _later(event: str, begin: float) -> str:
    """The same event, so much later; what cannot be read is left to the simulator's own sentence."""
    words = event.split()
    if words[:1] != ["at"]:
        return f"at {begin:g} {event}"
    with contextlib.suppress(IndexError, ValueError):
        words[1] = f"{float(words[1]) + begin:g}"
    return " ".join(words)


def _shown(story: Story, events: tuple[str, ...], begin: float) -> dict[str, Any]:
    """Times count from the first event of the question."""
    told: dict[str, Any] = msgspec.to_builtins(story)
    for key in ("steps", "doubles"):
        told[key] = [{**one, "at_s": round(one["at_s"] - begin, 3)} for one in told[key] if one["at_s"] >= begin]
    told["fates"] = [msgspec.to_builtins(fate) for fate in story.touched]
    return told | {"events": list(events), "lasted_s": round(story.lasted_s - begin, 3)}


if __name__ == "__main__":
    main()
