"""What people and the agent are told of a mirror whose engine is DRBD (words: agent/wire/mirror.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.drbdd.mind import color_of, doubt_of, mode_of, peer_color_of, relation_of

if TYPE_CHECKING:
    from agent.drbdd.engine import Engine

_GRAIN = 4096  # one bit of DRBD's bitmap


def copying(engine: Engine) -> dict[str, Any]:
    seen, rate = engine.seen, engine.rate[2]
    if not (seen.is_source or seen.is_target) or seen.done is None:
        return {"copied": 0, "to_copy": 0, "rate": 0, "remaining_s": None}
    left = seen.out_of_sync
    total = round(left / max(0.0001, 1 - min(seen.done, 99.99) / 100))
    remaining_s = round(left / rate, 1) if rate > 0 else None
    return {"copied": total - left, "to_copy": total, "rate": round(rate), "remaining_s": remaining_s}


def losses(engine: Engine, doubt: str) -> dict[str, Any] | None:
    """What the other side has and this one lacks: DRBD tells of this side's own changes alone."""
    since, peer = engine.memory.broken_at or None, engine.settings.peer
    if not doubt or engine.trouble:
        return None
    if not engine.seen.generations.constructed:
        return {"bytes": None, "since": None, "text": f"All data: this server has none. {peer} may have it."}
    return {"bytes": None, "since": since, "text": f"What {peer} has written alone."}


def state(engine: Engine) -> dict[str, Any]:
    seen, known, settings, kept = engine.seen, engine.known, engine.settings, engine.memory
    constructed = seen.generations.constructed
    relation = relation_of(seen, known)
    names = [name for name in (seen.generations.current, *seen.generations.history) if name]
    doubt = "" if known.active or relation in ("equal", "source") else doubt_of(seen, known)
    doubt = engine.trouble or doubt
    return {
        "type": "state", "mirror": settings.mirror, "server": settings.server, "peer": settings.peer,
        "color": "RED" if engine.trouble else color_of(seen, known), "peer_color": peer_color_of(seen, known),
        "active": known.active, "peer_active": seen.peer_role == "Primary", "mode": mode_of(seen, known),
        "relation": relation, "in_sync": seen.equal, "constructed": constructed, "doubt": doubt,
        "why": kept.parted, "isolated": kept.isolated, "by_hand": known.active and kept.by_hand,
        "link": {"connected": seen.connected, "paths": [], "why": "" if seen.connected else f"DRBD: {seen.connection}"},
        "size": seen.size, "grain": _GRAIN, "dirty": seen.out_of_sync, **copying(engine), "pace": engine.pace,
        "generation": seen.generations.current,
        "history": [{"name": name, "at": None, "server": None} for name in names],
        "outdated": seen.disk == "Outdated", "whole": seen.disk != "Inconsistent" or not constructed,
        "epoch": list(known.epoch), "broken_at": kept.broken_at,
        "last_update": 0.0,
        "verify": {
            "running": seen.verifies, "at": kept.verified_at, "differing": kept.differing,
            "proven_until": kept.verified_at if not kept.differing else 0.0,
        },
        "bitmap": [], "error": engine.trouble, "losses": losses(engine, doubt),
    }  # fmt: skip
