"""A mirror disk as its two sides tell of it: what that means, what is wrong, what next, what a forced recovery costs.

Pure. Rules of this file
- A side speaks for itself alone; of a side that says nothing, the other one's last word counts, and only as that.
- A fact is a code with its values; whoever shows it says it in his language (`SENTENCES` are the English ones). In
  `values`, names that end in `_bytes` are sizes, in `_at` times, in `_s` durations: they are formatted by who shows
  them.
- `plan_of_force` is the one place that knows what a forced recovery from a server does: the page and the command that
  ask before it and the agent that carries it out ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

State = Mapping[str, Any]
Look = Literal["good", "note", "busy", "warn", "bad", "unknown"]
COLORS = ("GREEN", "YELLOW", "RED", "GRAY")
CELLS = 512  # of a bitmap, at most
NEXT = "_next"  # after the code of a fact: what to do


class MirrorState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One side, as its mirror process says it over its control socket (message "state"). Times: seconds since 1970."""

    server: str = ""
    peer: str = ""
    color: str = "GRAY"
    peer_color: str = "GRAY"
    active: bool = False
    mode: str = "off"  # off, stalled, mirrored, copying, alone
    relation: str = "apart"  # apart, equal, source, finishing, target, foreign
    in_sync: bool = False
    constructed: bool = False
    doubt: str = ""  # why this side may not be activated
    peer_active: bool = False
    isolated: bool = False  # it stays apart until it is told to join
    separated_at: float = 0.0  # for a backup: its disk stands still since then
    restoring_at: float = 0.0  # an operator writes a backup to its disk since then; nobody else uses it
    by_hand: bool = False  # active because an operator said so, outside of its group
    epoch: tuple[int, int] = (0, 0)  # of the newest activation that this side knows
    why: str = ""  # of how both met, a sentence
    pace: int = 0  # of a copy: bytes a second at most; 0: no limit
    link: dict[str, Any] = {}  # connected, paths, round trip, last error
    size: int = 0
    grain: int = 0
    dirty: int = 0  # bytes that differ, or may
    copied: int = 0
    to_copy: int = 0
    rate: float = 0.0  # bytes a second
    remaining_s: float | None = None
    generation: str = ""
    history: tuple[dict[str, Any], ...] = ()  # newest first, the current one too: {"name", "at", "server"}
    outdated: bool = False
    whole: bool = True
    last_update: float = 0.0
    broken_at: float = 0.0
    verify: dict[str, Any] = {}  # {"running", "at", "proven_until", "differing", ...}
    bitmap: tuple[int, ...] = ()  # at most CELLS: ninths of each part that differ
    error: str = ""
    asynchronous: bool = False  # a write is acknowledged before the other side has it
    queued: int = 0  # writes that it has not confirmed yet
    queued_bytes: int = 0
    oldest_s: float = 0.0  # age of the oldest of them
    complete_at: float = 0.0  # of a standby: it has all that was acknowledged before
    lacks_at: float = 0.0  # it has taken over without what the other side acknowledged after this
    # What the other side has and this one would lose if it were forced: {"bytes", "since"}; None: nothing is known.
    losses: dict[str, Any] | None = None


class Fact(NamedTuple):
    look: Look
    code: str
    values: dict[str, Any]

    @property
    def has_next(self) -> bool:
        return self.code + NEXT in SENTENCES


SENTENCES = {
    "nothing_known": "No server says anything of %(name)s.",
    "nothing_known_next": "Look whether the agents run (clpstat).",
    "both_active": "%(name)s is active on both servers at the same time.",
    "both_active_next": "Stop its group on one of them now: what each one writes, the other one lacks.",
    "error": "%(server)s: %(text)s",
    "not_constructed": "%(name)s has no data yet: neither server was chosen as the first truth.",
    "not_constructed_next": "Start its group once, or force the recovery from the server whose disk shall be copied.",
    "diverged": "Both servers have written to %(name)s without the other one: each has what the other one lacks.",
    "diverged_next": "Compare what each would lose, then force the recovery from the server that you want to keep.",
    "unrelated": "The two disks of %(name)s have no common past.",
    "unrelated_next": "Force the recovery from the server whose data you want to keep; the other disk is overwritten.",
    "stalled": "Writes wait on %(server)s: nobody has said yet that it may go on without %(peer)s.",
    "stalled_next": "Look at %(peer)s and at the mirror connect. Writes go on when either answers.",
    "copying": "%(source)s copies to %(target)s what differs: %(left_bytes)s to go.",
    "isolated": "%(server)s stays apart because an operator wished so; %(left_bytes)s differ.",
    "isolated_equal": "%(server)s stays apart because an operator wished so; nothing differs so far.",
    "isolated_unknown": "%(server)s stays apart because an operator wished so; how much differs nobody says.",
    "isolated_unknown_next": "Let it join again when the work is done: only what differs is copied.",
    "isolated_equal_next": "Let it join again when the work is done: only what differs is copied.",
    "isolated_next": "Let it join again when the work is done: only what differs is copied.",
    "separated": "%(server)s is separated for a backup since %(since_at)s; %(left_bytes)s differ so far.",
    "separated_next": (
        "When the copy is made, end it (clpbackup --post -h %(server)s): only what differs is copied. Until then "
        "nothing takes over without losing that."
    ),
    "restoring": "A backup is being restored to %(server)s since %(since_at)s; this side is not used meanwhile.",
    "restoring_next": (
        "When it is written, say so (clprestore --post -h %(server)s): then it is the truth, and is copied to the "
        "other server."
    ),
    "alone": "%(server)s goes on alone since %(since_at)s; %(peer)s lacks %(left_bytes)s.",
    "alone_equal": "%(server)s goes on alone since %(since_at)s; so far it has written nothing that %(peer)s lacks.",
    "alone_equal_next": "Mend %(peer)s or the mirror connect: the copy then begins by itself.",
    "alone_next": "Mend %(peer)s or the mirror connect: the copy then begins by itself.",
    "doubt": "%(name)s can be activated nowhere. %(text)s",
    "doubt_next": "Start the other server. If it is lost for good, force the recovery from the one that is left.",
    "unheard": "Nothing is heard of the disk of %(server)s.",
    "unheard_next": "Start %(server)s, or look at its agent; until then %(name)s has no second copy.",
    "apart": "The two servers of %(name)s are not connected.",
    "apart_next": "Look at the mirror connect and at the mirror process of each server (clpmdstat --connect %(name)s).",
    "differs": "The comparison found differences: %(left_bytes)s.",
    "differs_next": (
        "Compare again and copy what differs (clpmdctrl --verify --repair %(name)s), then find out which disk or "
        "controller has changed data by itself."
    ),
    "equal": "Both servers have the same data.",
    "behind": (
        "%(peer)s is behind %(server)s by %(count)s writes (%(left_bytes)s, the oldest %(age)s s old): "
        "asynchronous mode."
    ),
    "asynchronous": "%(peer)s has everything; it gets writes after they are acknowledged (asynchronous mode).",
    "lacks": (
        "%(server)s has taken over from %(peer)s without its newest writes (asynchronous mode): what %(peer)s "
        "acknowledged after %(since_at)s may be missing."
    ),
    "lacks_next": (
        "Compare with what the applications know. When %(peer)s comes back, those writes are overwritten there: "
        "to read them first, isolate it (clpmdctrl --break %(name)s)."
    ),
    # Where the generations of both stand to each other.
    "same_generation": "Both servers have the same generation of the data.",
    "ahead": "%(server)s is ahead: since both had the same it has gone on alone (%(count)s×).",
    "parted": "Since both had the same, each has gone on alone: %(server)s %(count)s×, %(peer)s %(others)s×.",
    "no_common": "No generation of the one is known to the other: the disks have no common past.",
    # What a forced recovery does.
    "force_construct": "The whole disk of %(source)s is copied to %(target)s; what is on %(target)s is overwritten.",
    "force_discard": "%(target)s gives up what it has alone and gets the data of %(source)s.",
    "force_activate": (
        "%(source)s takes its own data for the newest, although it cannot know that. What %(target)s has written "
        "since is lost when it comes back and is overwritten."
    ),
    "force_loses": "Lost for good: %(lost_bytes)s that only %(target)s has, written since %(since_at)s.",
    "force_loses_some": "Lost for good: %(lost_bytes)s that only %(target)s has.",
    "force_loses_nothing": "%(target)s has nothing that %(source)s lacks.",
    "force_loses_since": (
        "Lost for good: what %(target)s has written alone since %(since_at)s. How much that is nobody knows: it does "
        "not answer."
    ),
    "force_loses_unknown": "How much only %(target)s has is not known: it does not answer.",
    "force_not_whole": (
        "The disk of %(source)s is no whole copy: it was being copied to. Files may be damaged; check the file system."
    ),
    # Why there is nothing to force.
    "force_no_server": "Nothing is known of %(name)s on %(source)s: its mirror process does not run.",
    "force_equal": "Both servers have the same data already; nothing has to be recovered.",
    "force_repair": (
        "Both servers count as equal, but the comparison found differences. Copy them: clpmdctrl --verify --repair "
        "%(name)s takes the data of the active side."
    ),
    "force_under_way": "The data of %(source)s is being copied to %(target)s already.",
    "force_target_active": "%(name)s is active on %(target)s. Stop its group first: what is in use cannot be given up.",
    "force_isolated": "%(server)s stays apart on request. Let it join first (clpmdctrl --recovery %(name)s).",
    "force_will_come": (
        "%(name)s is active on %(source)s, and %(target)s is not connected. The copy begins by itself when it is."
    ),
}  # fmt: skip


def told(
    code: str, values: Mapping[str, Any], *, size: Callable[[float], str], when: Callable[[float], str],
    sentence: Callable[[str], str] = SENTENCES.__getitem__,
) -> str:  # fmt: skip
    """A fact in words; `sentence` gives its template in the language of the reader."""
    shown = {key: _shown(key, value, size, when) for key, value in values.items()}
    return " ".join((sentence(code) % shown).split())


def _shown(key: str, value: Any, size: Callable[[float], str], when: Callable[[float], str]) -> str:
    if key.endswith("_bytes"):
        return size(value)
    return when(value) if key.endswith("_at") else str(value)


def size_text(count: float) -> str:
    """ "12.4 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def cells(state: State) -> tuple[int, ...]:
    """The bitmap: for each part of the disk how many ninths of it differ, rounded up; 0 where nothing does."""
    return tuple(max(0, min(9, one)) for one in state["bitmap"][:CELLS])


def color_of(sides: Mapping[str, State | None], server: str) -> str:
    """Its own word, else what the other one says of it."""
    own = sides.get(server)
    if own is not None:
        return str(own["color"])
    other = next((one for one in sides.values() if one is not None and one["peer"] == server), None)
    return str(other["peer_color"]) if other is not None else "GRAY"


def active_on(sides: Mapping[str, State | None]) -> list[str]:
    return [server for server, one in sides.items() if one is not None and one["active"]]


def source_of(sides: Mapping[str, State | None]) -> str:
    """The server that copies to the other one now; "" nobody does."""
    return next((s for s, one in sides.items() if one is not None and one["relation"] in ("source", "finishing")), "")


def status_of(sides: Mapping[str, State | None]) -> str:
    """The original's word for all of it."""
    known = [one for one in sides.values() if one is not None]
    if known and not any(one["constructed"] for one in known):
        return "No Construction"
    if source_of(sides):
        return "Recovering"
    together = all(one["relation"] in ("equal", "finishing") and not _differing(one) for one in known)
    colors = {color_of(sides, server) for server in sides}
    return "Normal" if known and together and colors == {"GREEN"} and len(active_on(sides)) < 2 else "Abnormal"


def facts(name: str, sides: Mapping[str, State | None]) -> list[Fact]:
    """What is to be said of a mirror, worst first; never empty."""
    known = {server: one for server, one in sides.items() if one is not None}
    if not known:
        return [Fact("unknown", "nothing_known", {"name": name})]
    found = [
        *(_fault(server, one) for server, one in known.items() if one["error"]),
        *_behind(name, known),
        *_together(name, sides, known),
        *_differences(name, known),
        *(
            Fact("warn", "unheard", {"name": name, "server": server})
            for server, one in sides.items()
            if one is None and not any(other["mode"] in ("stalled", "alone") for other in known.values())
        ),
    ]
    ranks = {"bad": 0, "warn": 1, "unknown": 1, "busy": 2, "note": 3, "good": 4}
    return sorted(found, key=lambda one: ranks[one.look]) or [Fact("good", "equal", {"name": name})]


def _behind(name: str, known: Mapping[str, State]) -> Iterator[Fact]:
    """Asynchronous: what the standby has not yet, and what it will never have."""
    for server, one in known.items():
        values = {"name": name, "server": server, "peer": one["peer"]}
        if since := one.get("lacks_at"):
            yield Fact("warn", "lacks", {**values, "since_at": since})
        if one.get("asynchronous") and one["active"] and one["relation"] in ("equal", "finishing"):
            count, size = one.get("queued", 0), one.get("queued_bytes", 0)
            more = {"count": count, "left_bytes": size, "age": f"{one.get('oldest_s', 0):.0f}"}
            yield Fact("note", "behind", {**values, **more}) if count else Fact("good", "asynchronous", values)


def _fault(server: str, one: State) -> Fact:
    if since := one.get("restoring_at"):
        return Fact("warn", "restoring", {"server": server, "since_at": since})
    return Fact("bad", "error", {"server": server, "text": one["error"]})


def _together(name: str, sides: Mapping[str, State | None], known: Mapping[str, State]) -> list[Fact]:
    """How the two sides stand to each other: one fact, or none when they are equal."""
    if len(active_on(sides)) > 1:
        return [Fact("bad", "both_active", {"name": name})]
    if not any(one["constructed"] for one in known.values()):
        return [Fact("warn", "not_constructed", {"name": name})]
    if (server := source_of(sides)) and (one := known[server]):
        values = {"name": name, "source": server, "target": one["peer"], "left_bytes": left_of(one)}
        return [Fact("busy", "copying", values)]
    for server, one in known.items():
        if one["isolated"]:
            return [_isolated(name, server, known), *(f for f in _apart(name, known) if f.code in ("stalled", "doubt"))]
    if any(one["relation"] == "foreign" for one in known.values()):
        common = [set(generations(one)) for one in known.values()]
        return [Fact("bad", "diverged" if len(common) < 2 or common[0] & common[1] else "unrelated", {"name": name})]
    return _apart(name, known)


def _isolated(name: str, server: str, known: Mapping[str, State]) -> Fact:
    """Who is not active cannot know what the other one has written meanwhile."""
    differ = max(one["dirty"] for one in known.values())
    values = {"name": name, "server": server, "left_bytes": differ}
    if since := known[server].get("separated_at"):
        return Fact("warn", "separated", {**values, "since_at": since})
    if differ:
        return Fact("warn", "isolated", values)
    all_told = len(known) > 1 or any(one["active"] for one in known.values())
    return Fact("warn", "isolated_equal" if all_told else "isolated_unknown", values)


def _apart(name: str, known: Mapping[str, State]) -> list[Fact]:
    for server, one in known.items():
        values = {"name": name, "server": server, "peer": one["peer"]}
        if one["mode"] == "stalled":
            return [Fact("bad", "stalled", values)]
        if one["mode"] == "alone":
            code = "alone" if one["dirty"] else "alone_equal"
            return [Fact("warn", code, {**values, "since_at": one["broken_at"], "left_bytes": one["dirty"]})]
    doubts = [one["doubt"] for one in known.values()]
    if all(doubts) and not any(one["active"] for one in known.values()):
        return [Fact("bad", "doubt", {"name": name, "text": doubts[0]})]
    if len(known) > 1 and any(one["relation"] == "apart" for one in known.values()):
        return [Fact("warn", "apart", {"name": name})]
    return []


def _differences(name: str, known: Mapping[str, State]) -> list[Fact]:
    for one in known.values():
        if found := _differing(one):
            return [Fact("bad", "differs", {"name": name, "left_bytes": found})]
    return []


def generations(state: State) -> list[str]:
    """Newest first, with the current one."""
    names = [str(one.get("name", "")) for one in state["history"]]
    return names if not state["generation"] or state["generation"] in names else [state["generation"], *names]


def lineage(sides: Mapping[str, State | None]) -> tuple[str, dict[str, Any]] | None:
    """How the generations of the two sides stand to each other; None: one of them is not known or has none."""
    known = [(server, generations(one)) for server, one in sides.items() if one is not None]
    if len(known) != 2 or not (known[0][1] and known[1][1]):
        return None
    (one, mine), (two, theirs) = known
    if mine[0] == theirs[0]:
        return "same_generation", {}
    common = next((name for name in mine if name in theirs), None)
    if common is None:
        return "no_common", {}
    ahead, others = mine.index(common), theirs.index(common)
    if ahead and others:
        return "parted", {"server": one, "peer": two, "count": ahead, "others": others}
    return "ahead", {"server": one if ahead else two, "count": ahead or others}


def _differing(state: State) -> int:
    """Bytes that the newest comparison found not to be the same; known until the next one."""
    return int(state["verify"].get("differing") or 0)


def left_of(state: State) -> int:
    """Bytes that a copy has still to bring."""
    return max(0, int(state["to_copy"]) - int(state["copied"])) if state["to_copy"] else int(state["dirty"])


def percent_of(state: State) -> float | None:
    """How much of the copy that runs is done; None: nobody knows how much it is."""
    return min(100.0, 100.0 * state["copied"] / state["to_copy"]) if state["to_copy"] else None


class Plan(NamedTuple):
    """What a forced recovery from `source` does. `does` "": nothing, `facts` say why."""

    does: Literal["construct", "discard", "activate", ""]
    facts: tuple[tuple[str, dict[str, Any]], ...]  # codes and values; what is done, then what it costs


def plan_of_force(name: str, source: str, sides: Mapping[str, State | None]) -> Plan:
    own = sides.get(source)
    target = next((server for server in sides if server != source), str(own["peer"]) if own else "?")
    values: dict[str, Any] = {"name": name, "source": source, "target": target}
    if own is None:
        return Plan("", (("force_no_server", values),))
    other = sides.get(target)
    if why := _why_not(own, other, values):
        return Plan("", (why,))
    connected = own["relation"] != "apart" or bool(own["link"].get("connected"))
    torn: tuple[tuple[str, dict[str, Any]], ...] = () if own["whole"] else (("force_not_whole", values),)
    if not own["constructed"] and not (other and other["constructed"]):
        return Plan("construct", (("force_construct", values),))
    if not connected and not own["active"]:
        return Plan("activate", (("force_activate", values), *torn, _lost(own, values)))
    return Plan("discard", (("force_discard", values), *torn, _lost(own, values)))


def _why_not(own: State, other: State | None, values: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    for server, one in ((values["source"], own), (values["target"], other)):
        if one is not None and one["isolated"]:
            return "force_isolated", {**values, "server": server}
    if own["relation"] == "equal":
        return ("force_repair" if _differing(own) else "force_equal"), values
    if own["relation"] in ("source", "finishing"):
        return "force_under_way", values
    if own["peer_active"] or (other is not None and other["active"]):
        return "force_target_active", values
    if own["active"] and own["relation"] == "apart" and not own["link"].get("connected"):
        return "force_will_come", values
    return None


def _lost(own: State, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """`losses` of a side is what the other one has that it lacks."""
    losses = own["losses"] or {}
    lost, since = losses.get("bytes"), losses.get("since")
    if lost is None:
        return ("force_loses_since", {**values, "since_at": since}) if since else ("force_loses_unknown", values)
    if not lost:
        return "force_loses_nothing", values
    if since:
        return "force_loses", {**values, "lost_bytes": lost, "since_at": since}
    return "force_loses_some", {**values, "lost_bytes": lost}
