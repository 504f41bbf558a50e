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
PREVIEW_S = 15.0
_EXACT = 200  # groups x servers that are played as a whole, within some three seconds
_STEPS_SHOWN = 200
_ON = ("Online", "Suspend", "Offline Pending")
_WHOLE = ("cluster_stop", "cluster_shutdown", "cluster_reboot")
_DOWN = ("restarts", "moves", "stops")
_MEMORY = 2 * 1024**3
_AT_ONCE = 2
_PATIENCE_S = 10.0
_NICE = 10
_SETTLED_TIMEOUTS = 6.0  # after which what was off or suspended before the first event makes no more difference


class Question(msgspec.Struct, frozen=True, kw_only=True, tag="question"):
    """One or several plays; each begins from the same state. `placed` None: where all is well."""

    cluster: Cluster
    plays: tuple[tuple[str, ...], ...]
    placed: dict[str, str] | None = None
    off: tuple[str, ...] = ()
    suspended: bool = False


class Preview(msgspec.Struct, frozen=True, kw_only=True, tag="preview"):
    """What operations would do now; `status` as it is shown."""

    cluster: Cluster
    status: dict[str, Any]
    stages: list[list[tuple[str, str, str]]]  # op, target, server


class Told(msgspec.Struct, kw_only=True):
    story: dict[str, Any] | None = None
    error: str = ""


class BusyError(Exception):
    pass


class FailedError(Exception):
    pass


class TooLongError(FailedError):
    pass


_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


async def ask(question: Question) -> list[Told]:
    """Raises BusyError, FailedError."""
    return msgspec.json.decode(await _answer(question, LIMIT_S), type=list[Told])


async def preview(question: Preview) -> dict[str, Any]:
    """As agent.sim.preview tells it. Raises BusyError, FailedError."""
    return msgspec.json.decode(await _answer(question, PREVIEW_S), type=dict[str, Any])


async def _answer(question: Question | Preview, limit_s: float) -> bytes:
    slots = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await slots.acquire()
    except TimeoutError:
        raise BusyError("The simulator is busy with other questions. Ask again in a few seconds.") from None
    try:
        return await _asked(question, limit_s)
    finally:
        slots.release()


async def _asked(question: Question | Preview, limit_s: float) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "webmanager.play",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(limit_s):
            out, err = await process.communicate(msgspec.json.encode(question))
    except TimeoutError:
        raise TooLongError(_too_long(limit_s)) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise TooLongError(_too_long(limit_s))
    if process.returncode:
        log.error("the simulator ended with %d: %s", process.returncode, err.decode(errors="replace")[-2000:])
        raise FailedError("The simulator failed at this question; see the manager's log.")
    return out


def _too_long(limit_s: float) -> str:
    return f"The simulator had no answer within {limit_s:.0f} s; ask for fewer events."


# In the child.


def main() -> None:
    from webmanager.supervisor import die_with_parent

    die_with_parent()
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    question: Question | Preview = msgspec.json.decode(sys.stdin.buffer.read(), type=Question | Preview)
    told = answer(question) if isinstance(question, Question) else foreseen(question)
    sys.stdout.buffer.write(msgspec.json.encode(told))


def foreseen(question: Preview) -> dict[str, Any]:
    """Exactly, from the state that is shown; in a large cluster only the part that is concerned is played."""
    from agent.sim.preview import preview_all

    if len(question.cluster.groups) * len(question.cluster.server_names) <= _EXACT:
        return preview_all(question.cluster, question.status, question.stages)
    return _foreseen_in_part(question)


def _foreseen_in_part(question: Preview) -> dict[str, Any]:
    groups, servers = question.status["groups"], question.status["servers"]
    on = [name for name in question.cluster.server_names if servers[name]["status"] in _ON]
    asks = [ask for stage in question.stages for ask in stage]
    if any(op in _WHOLE for op, _target, _server in asks):
        text = "Every group that is online stops. Then the cluster service of every server stops."
        downtime = {name: None for name, group in groups.items() if group["active_on"]}
        return {"steps": [{"at_s": 0.0, "text": text}], "refusal": None, "downtime_s": downtime}
    events = tuple(_as_event(ask, on) for ask in asks)
    told = answer(
        Question(
            cluster=question.cluster, plays=(events,), suspended=bool(question.status["cluster"]["suspended"]),
            placed={name: group["current"] for name, group in groups.items() if group["current"]},
            off=tuple(name for name in question.cluster.server_names if name not in on),
        )
    )[0]  # fmt: skip
    if told.story is None:
        return {"error": told.error}
    downtime = {fate["group"]: fate["outage_s"] for fate in told.story["fates"] if fate["outcome"] in _DOWN}
    return {"steps": told.story["steps"][:_STEPS_SHOWN], "refusal": None, "downtime_s": downtime}


def _as_event(ask: tuple[str, str, str], on: list[str]) -> str:
    op, target, server = ask
    if op == "server_start":
        return f"power_on {target}"
    to = f" to {server}" if server else ""
    return f"ask {on[0] if on else target} {op} {target}{to}".rstrip()


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
