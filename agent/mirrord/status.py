"""What people and the agent are told of a mirror: colours, figures and sentences, from the engine as it is now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from agent.mirror.bits import Bits
from agent.mirrord.frames import Facts

if TYPE_CHECKING:
    from agent.mirrord.engine import Engine

CELLS = 512
_FULL = 9
_PEER_COLORS = {"equal": "GREEN", "finishing": "GREEN", "target": "GREEN", "source": "YELLOW"}


def color(engine: Engine) -> str:
    """GREEN this disk has the newest data, YELLOW it is being copied to, RED it must not be used, GRAY nobody knows."""
    side = engine.side
    if engine.error:
        return "RED"
    if not side.constructed:
        return "GRAY"
    if side.relation == "target":
        # A repair leaves the disk whole, but what it repairs is not there yet.
        return "YELLOW"
    if side.active or side.relation in ("equal", "finishing", "source"):
        return "GREEN"
    if side.past.outdated or not side.past.whole or side.relation == "foreign":
        return "RED"
    return "GREEN" if not side.doubt() else "GRAY"


def peer_color(engine: Engine) -> str:
    """What follows from how both stand to each other, else the other one's own word while it is heard."""
    facts, side = engine.peer.facts, engine.side
    if side.relation in _PEER_COLORS:
        return _PEER_COLORS[side.relation]
    if engine.peer.connected and facts is not None:
        return facts.color
    if side.constructed and side.past.peer == "behind":
        return "RED"
    return "GRAY"


def doubt(engine: Engine) -> str:
    """Why this side must not be active without the other one; empty: it may be."""
    if engine.error:
        return engine.error
    if engine.active or engine.side.relation in ("equal", "source", "finishing"):
        return ""
    return engine.side.doubt() or engine.side.awaited


def bitmap(bits: Bits) -> list[int]:
    """At most 512 cells, each the share of grains that differ, from 0 (none) to 9 (all)."""
    if not bits.count:
        return []
    per = -(-bits.size // CELLS) + 7 & ~7
    cells = []
    for first in range(0, bits.size, per):
        count = int.from_bytes(bits.part(first, min(per, bits.size - first)), "little").bit_count()
        cells.append(min(-(-count * _FULL // min(per, bits.size - first)), _FULL))
    return cells


def copying(engine: Engine) -> dict[str, Any]:
    """Progress, from whichever side copies."""
    side, copier, facts = engine.side, engine.copier, engine.peer.facts
    if side.relation == "source":
        left = engine.dirty_bytes
        rate = copier.rate
        # The rate is that of the newest seconds; the pace may have been set lower since.
        soon = min(rate, copier.pace) if copier.pace else rate
        total = max(copier.total, left)
        return {
            "copied": total - left,
            "to_copy": total,
            "rate": round(rate),
            "remaining_s": round(left / soon, 1) if soon > 0 else None,
        }
    if side.relation == "target" and facts is not None:
        return {"copied": facts.copied, "to_copy": facts.to_copy, "rate": facts.rate, "remaining_s": facts.remaining_s}
    return {"copied": 0, "to_copy": 0, "rate": 0, "remaining_s": None}


def losses(engine: Engine) -> dict[str, Any] | None:
    """What the other side has, and is lost when this one is made the truth by force. None: nothing."""
    peer, facts, side = engine.settings.peer, engine.peer.facts, engine.side
    if engine.error or not (doubt(engine) or side.relation == "foreign"):
        return None
    if not side.constructed:
        return {"bytes": None, "since": None, "text": f"All data: this server has none. {peer} may have it."}
    if side.awaited:
        at = engine.behind.complete_at or None
        text = f"What {peer} has acknowledged after {_when(at)}" if at else f"What {peer} has acknowledged last"
        return {"bytes": None, "since": at, "text": f"{text}."}
    known = facts.dirty if facts is not None and engine.peer.connected else None
    since = facts.broken_at if facts is not None and facts.broken_at else engine.partition.label.broken_at
    text = f"Everything that {peer} has written since {_when(since)}" if since else f"What {peer} has written alone"
    if known is not None:
        text += f": {known} bytes"
    if not side.past.whole:
        text += f"; besides, the disk of {side.server} is a mixture of two times and may be unreadable"
    return {"bytes": known, "since": since or None, "text": f"{text}."}


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def words_of(generation: str, server: str, peer: str) -> dict[str, Any]:
    """When and by whom a generation was begun (`Engine._name`)."""
    try:
        return {"name": generation, "at": int(generation[:8], 16), "server": sorted((server, peer))[int(generation[8])]}
    except (ValueError, IndexError):
        return {"name": generation, "at": None, "server": None}


def verify_state(engine: Engine) -> dict[str, Any]:
    """Of the side that compares."""
    facts, own = engine.peer.facts, engine.verifier.state()
    if engine.peer.connected and facts is not None and facts.verify and not own["running"]:
        theirs = facts.verify
        if theirs.get("running") or (theirs.get("at") or 0) > own["at"]:
            return dict(theirs)
    return own


def state(engine: Engine) -> dict[str, Any]:
    """The message "state" of the control socket (agent/wire/mirror.py says what each part means)."""
    side, peer, settings = engine.side, engine.peer, engine.settings
    label = engine.partition.label
    target = side.relation == "target" and peer.facts is not None
    dirty = peer.facts.dirty if target and peer.facts is not None else engine.dirty_bytes
    return {
        "type": "state",
        "mirror": settings.mirror,
        "server": settings.server,
        "peer": settings.peer,
        "color": color(engine),
        "peer_color": peer_color(engine),
        "active": engine.active,
        "peer_active": side.peer_active,
        "mode": side.mode if engine.active else "off",
        "relation": side.relation,
        "in_sync": side.relation == "equal",
        "constructed": side.constructed,
        "doubt": doubt(engine),
        "why": peer.unfit or (side.meeting.why if side.meeting is not None else ""),
        "isolated": label.isolated,
        "separated_at": label.separated_at,
        "by_hand": engine.active and engine.orders.by_hand,
        "link": {**peer.link.figures(), "connected": peer.connected, "since": peer.since, "why": peer.last_down},
        "size": engine.size,
        "grain": engine.grain,
        "dirty": dirty,
        **copying(engine),
        "pace": engine.copier.pace,
        "generation": side.past.current,
        "history": [
            words_of(name, settings.server, settings.peer) for name in (side.past.current, *side.past.history) if name
        ],
        "outdated": side.past.outdated,
        "whole": engine.newest.whole,
        "epoch": list(side.past.epoch),
        "last_update": engine.last_update,
        "broken_at": 0.0 if side.relation == "equal" else label.broken_at,
        "verify": verify_state(engine),
        "bitmap": peer.facts.bitmap if target and peer.facts is not None else engine.bitmap(),
        "error": engine.error or peer.unfit or engine.serving.trouble,
        "losses": losses(engine),
        **behind(engine),
    }


def behind(engine: Engine) -> dict[str, Any]:
    """Asynchronous: how far the other side is behind; and what this one may lack since it took over."""
    known = {"lacks_at": engine.partition.label.lacks_at}
    if not engine.settings.asynchronous:
        return known
    one = engine.behind
    figures = {"queued": one.queued, "queued_bytes": one.queued_bytes, "oldest_s": one.oldest_s}
    return {**known, "asynchronous": True, "complete_at": one.complete_at, **(figures if engine.active else {})}


def essence(state: dict[str, Any]) -> dict[str, Any]:
    """Without what changes all the time and tells nothing new."""
    state = {**state, "complete_at": 0.0}
    link = {key: state["link"].get(key) for key in ("connected", "path", "error", "why", "since")}
    paths = [(path.get("name"), path.get("state"), path.get("error")) for path in state["link"].get("paths", ())]
    return {**state, "link": link, "paths": paths}


def facts(engine: Engine) -> Facts:
    side = engine.side
    return Facts(
        color=color(engine), active=engine.active, mode=side.mode if engine.active else "off", relation=side.relation,
        dirty=engine.dirty_bytes, whole=side.past.whole, constructed=side.constructed, generation=side.past.current,
        last_update=engine.last_update, broken_at=engine.partition.label.broken_at, error=engine.error,
        doubt=doubt(engine), complete_at=engine.behind.says(),
        bitmap=engine.bitmap() if side.relation != "target" else [],
        verify=engine.verifier.state(), **(copying(engine) if side.relation == "source" else {}),
    )  # fmt: skip
