"""Why a case ended differently here: by a rule that was in force, by the engine's own notes, or by nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.sim.replay.rules import sentence
from agent.sim.replay.stage import Stage
from agent.sim.replay.verdict import Difference
from agent.wire.report import Note

NOWHERE = ""
# Notes that say why a group runs nowhere (module, event); others only say where it was sent.
_KEPT_DOWN = {("rc", 15), ("rc", 17), ("rc", 62), ("rc", 63), ("rc", 66), ("cp", 9), ("cp", 10), ("cp", 15)}
_KEEPS_DOWN = {
    "final-action",
    "exclusion",
    "quarantine",
    "survive",
    "max-reboots",
    "stalled",
    "errordetect",
    "suspended",
}
_NO_QUORUM = {"majority", "quorum", "arbiter", "lease", "evicted", "partition-action", "startup-wait"}


def why_there(stage: Stage, group: str) -> tuple[str, str]:
    """Rule and sentence of the newest decision that sent the group somewhere; ("", "") when there is none."""
    notes = [n for n in stage.decisions(group) if (n.module, n.event) not in _KEPT_DOWN]
    return _told(notes[-1]) if notes else ("", "")


def why_nowhere(stage: Stage, group: str) -> tuple[str, str]:
    """Likewise, of a group that is down though somebody wants it."""
    down = [n for n in stage.decisions(group) if (n.module, n.event) in _KEPT_DOWN or n.rule in _KEEPS_DOWN]
    if down:
        return _told(down[-1])
    if not any(machine.daemon for machine in stage.machines.values()):
        return "nobody-left", sentence("nobody-left")
    started = [start for start in stage.starts if start.group == group]
    about = (started[-1].server, stage.cluster.name) if started else (stage.cluster.name,)
    since = started[-1].at if started else 0.0
    found = [n for n in stage.notes.values() if n.rule in _NO_QUORUM and n.name in about and n.time >= since]
    return _told(found[-1]) if found else ("", "")


def _told(note: Note) -> tuple[str, str]:
    return note.rule, f"at {note.time:.0f} s: {note.text}"


def first_of(rules: Collection[str]) -> tuple[str, str]:
    return next(((rule, sentence(rule)) for rule in rules), ("", ""))


def shown(server: str) -> str:
    return server or "nowhere"


def fences(
    stage: Stage, theirs: Collection[str], held: Mapping[str, bool], *, asked: bool, excused: Mapping[str, str]
) -> list[Difference]:  # fmt: skip
    """Compare the fenced sets. `held`: servers that ran a group when they were lost; `asked`: theirs fences at all."""
    found = []
    for server in sorted(set(theirs) - set(stage.fenced)):
        rule = excused.get(server, "")
        if not rule and not any(m.daemon and not m.paused for m in stage.machines.values()):
            rule = "nobody-left"
        if not rule and not held.get(server):
            rule = "fence-holders"
        found.append(Difference(f"fence {server}", "not fenced", "fenced", rule, sentence(rule)))
    for server in sorted(set(stage.fenced) - set(theirs)):
        at_s, how = stage.fenced[server]
        by_itself = how.startswith(("stopped itself", "reset"))
        rule = "self-fencing" if by_itself and server in stage.was_minority else ""
        rule = rule or excused.get(server, "" if asked else "lost-is-not-stopped")
        why = sentence(rule) if rule else f"nothing separated {server} from the others"
        if rule or asked:
            found.append(Difference(f"fence {server}", f"{how} at {at_s:.0f} s", "not fenced", rule, why))
    return found
