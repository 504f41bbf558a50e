"""What a drill did, from the servers' own log: when it was noticed, decided and mended, and whether that was right.

Pure: the notes that came since the drill was asked for go in, the report goes out; asked again with more notes it
tells more. Recoveries are found by webmanager/recoveries/sift.py. Every sentence is a code with its values (words.py
has it in the reader's language). Times are those of the notes.

The verdict
- passed: it began, was noticed, ended by itself, every group that was online is online again, no slower than its
  objective, nothing moved that the simulator had not predicted, and the server is back.
- failed: it ran to its end, and one of these is not so.
- aborted: it never began, was given up, or somebody ended it before its time; then nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from agent.messages.drills import BACK, BEGUN, GIVEN_UP, OVER
from agent.wire.drill import Drill
from agent.wire.report import Note
from webmanager.recoveries.evidence import in_order
from webmanager.recoveries.path import path
from webmanager.recoveries.sift import Found, Standing, sift

Sentence = tuple[str, dict[str, Any]]
_STEPS_MOST = 400
# What an administrator follows; the rest explains it.
_TELLING = {
    "apisv": {BEGUN, OVER, BACK, GIVEN_UP}, "nm": {1, 2, 3, 4}, "cp": {1, 2, 7, 8, 13, 18, 19},
    "rc": {10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42, 60, 61, 63, 66, 67, 70, 71, 74, 75},
    "rm": {9, 13, 14, 26, 180, 181}, "pm": {1},
}  # fmt: skip
_STAGES = {
    ("apisv", BEGUN): "begins", ("apisv", OVER): "ends", ("apisv", BACK): "ends", ("apisv", GIVEN_UP): "ends",
    ("nm", 2): "noticed", ("nm", 4): "noticed", ("rm", 9): "noticed", ("cp", 18): "noticed", ("cp", 13): "noticed",
    ("cp", 2): "verdict", ("rc", 60): "decided", ("rm", 13): "decided", ("rm", 14): "decided", ("rc", 66): "decided",
    ("rc", 11): "online", ("rc", 71): "online",
}  # fmt: skip


class Facts(NamedTuple):
    """Of the drill's row, and of the cluster as it is now."""

    id: str
    drill: Drill
    server: str
    before: Mapping[str, str]  # group -> server, where it was online
    predicted: Mapping[str, Mapping[str, Any]]
    objectives: Mapping[str, float]  # group -> seconds
    owner: Mapping[str, str]  # resource -> group
    now_on: Mapping[str, str]  # group -> server where it is online now, "" nowhere
    server_online: bool
    asked: float
    now: float
    ended_by: str = ""


class Measured(NamedTuple):
    report: dict[str, Any]
    over: bool  # nothing more follows
    verdict: str  # passed, failed, aborted; as it would be if it were over now


def measure(facts: Facts, notes: Iterable[Note]) -> Measured:
    lines = in_order(notes)
    begun = next((line for line in lines if _is(line.note, BEGUN, facts.id)), None)
    ended = next((line for line in lines if any(_is(line.note, n, facts.id) for n in (OVER, BACK, GIVEN_UP))), None)
    since = begun.at if begun is not None else None
    lines = [line for line in lines if since is not None and line.at >= since]
    found = _recoveries(facts, [line.note for line in lines])
    groups = [_group(facts, name, found.get(name, [])) for name in facts.before]
    over_at = ended.at if ended is not None else _back_at(facts, lines)
    given_up = ended is not None and _is(ended.note, GIVEN_UP, facts.id)
    verdict, sentences = _verdict(
        facts, groups, begun is not None, ended.note if ended else None, [x.note for x in lines]
    )
    report = {
        "began": since, "ended": over_at, "steps": _steps(lines, since), "groups": groups,
        "sentences": [list(one) for one in sentences], **_crash(ended.note if ended is not None else None),
    }  # fmt: skip
    goes_on = any(one.result == "running" for many in found.values() for one in many)
    well = all(facts.now_on.get(name) for name in facts.before) and facts.server_online and not goes_on
    return Measured(report, given_up or (over_at is not None and well), verdict)


def _is(note: Note, event: int, key: str) -> bool:
    return (note.module, note.event, note.params[:1]) == ("apisv", event, (key,))


def _back_at(facts: Facts, lines: Sequence[Any]) -> float | None:
    """A machine that was reset cannot say that the drill is over; the start of its service does."""
    if facts.drill.kind not in ("reset", "hang", "crash"):
        return None
    return next(
        (x.at for x in lines if x.note.server == facts.server and (x.note.module, x.note.event) == ("pm", 1)), None
    )


def _recoveries(facts: Facts, notes: Sequence[Note]) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    before = {name: Standing((server,)) for name, server in facts.before.items()}
    for one in sift(notes, facts.owner, facts.now, before).found:
        found.setdefault(one.group, []).append(one)
    return found


def _group(facts: Facts, name: str, found: Sequence[Found]) -> dict[str, Any]:
    """What became of one group; a failback afterwards is told, but not counted."""
    counted = [one for one in found if one.outage_from is not None and one.kind != "failback"]
    outage_s = sum((one.outage_to or facts.now) - (one.outage_from or 0.0) for one in counted)
    first = counted[0] if counted else None
    predicted = facts.predicted.get(name, {})
    return {
        "group": name,
        "from": facts.before[name],
        "to": facts.now_on.get(name, ""),
        "interrupted": bool(counted),
        "outage_s": round(outage_s, 3),
        "objective_s": facts.objectives.get(name),
        "predicted_s": predicted.get("outage_s"),
        "predicted": predicted.get("outcome", ""),
        "parts": _parts(first) if first is not None else [],
        "failback_s": round(sum((o.outage_to or facts.now) - o.outage_from for o in found
                                if o.kind == "failback" and o.outage_from is not None), 3),
    }  # fmt: skip


def _parts(found: Found) -> list[dict[str, Any]]:
    begun, ended = found.outage_from, found.outage_to
    if begun is None or ended is None:
        return []
    parts = path(begun, ended, found.verdict_at, found.decided_at, found.steps)
    return [
        {"kind": one.kind, "name": one.name, "server": one.server, "at_s": round(one.begun - begun, 3),
         "lasted_s": round(one.lasted_s, 3), "result": one.result}
        for one in parts
    ]  # fmt: skip


def _steps(lines: Sequence[Any], since: float | None) -> list[dict[str, Any]]:
    told = [x for x in lines if x.note.event in _TELLING.get(x.note.module, ())]
    return [
        {"at_s": round(x.at - (since or x.at), 3), "stage": _STAGES.get((x.note.module, x.note.event), ""),
         "note": msgspec.to_builtins(x.note)}
        for x in told[:_STEPS_MOST]
    ]  # fmt: skip


def _crash(ended: Note | None) -> dict[str, Any]:
    if ended is None or ended.event != BACK:
        return {}
    return {"taken_down_s": float(ended.params[2]), "away_s": float(ended.params[3])}


def _verdict(
    facts: Facts, groups: Sequence[Mapping[str, Any]], begun: bool, ended: Note | None, notes: Sequence[Note]
) -> tuple[str, list[Sentence]]:
    if not begun:
        return "aborted", [("never_began", {})]
    if ended is not None and ended.event == GIVEN_UP:
        return "aborted", [("given_up", {"why": ended.params[2]})]
    if facts.ended_by:
        return "aborted", [("ended_early", {"by": facts.ended_by})]
    wrong = [one for group in groups for one in _wrong(group)]
    wrong += [] if facts.server_online else [("not_back", {"server": facts.server})]
    if not _noticed(facts, notes):
        wrong.append(("not_noticed", {}))
    said = [one for group in groups for one in _right(group)] if not wrong else []
    return ("failed", wrong) if wrong else ("passed", said or [("nothing_moved", {})])


def _noticed(facts: Facts, notes: Sequence[Note]) -> bool:
    """By anybody; a hang that is too short to be noticed must not be."""
    if facts.drill.kind == "hang":
        return True
    wanted = {"link": ("nm", 4), "monitor": ("rm", 9)}.get(facts.drill.kind, ("nm", 2))
    return any((note.module, note.event) == wanted for note in notes)


def _wrong(group: Mapping[str, Any]) -> Iterable[Sentence]:
    name = group["group"]
    if not group["to"]:
        yield "stays_down", {"group": name}
    elif group["objective_s"] is not None and group["outage_s"] > group["objective_s"]:
        yield "too_slow", {"group": name, "outage_s": group["outage_s"], "objective_s": group["objective_s"]}
    if group["predicted"] == "stays" and group["interrupted"]:
        yield "unexpected", {"group": name, "outage_s": group["outage_s"]}
    if group["predicted"] in ("moves", "restarts") and not group["interrupted"]:
        yield "nothing_happened", {"group": name}


def _right(group: Mapping[str, Any]) -> Iterable[Sentence]:
    if group["interrupted"]:
        code = "in_time" if group["objective_s"] is not None else "no_objective"
        yield code, {key: group[key] for key in ("group", "to", "outage_s", "objective_s")}
