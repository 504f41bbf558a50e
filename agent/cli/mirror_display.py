"""A mirror disk as text: the lines of the original's clpmdstat that scripts read, and below them what is wrong."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from agent.wire.mirror import NEXT, SENTENCES, left_of, percent_of, size_text, source_of, told

Json = Mapping[str, Any]

_LABEL = 28
_COLUMN = 24
_NEVER = "--/--/-- --:--:--"  # two words, as a time has: scripts count them
MODES = {
    "off": "not active",
    "stalled": "active, writes wait",
    "mirrored": "active, mirrored",
    "copying": "active, copying",
    "alone": "active, alone",
}


def detail(mirror: Json) -> str:
    """clpmdstat --mirror."""
    sides = mirror["servers"]
    lines = [
        f" Mirror Status: {mirror['status']}", "",
        _row(mirror["name"], list(sides)), f" {'-' * (_LABEL + _COLUMN * len(sides))}",
        _row("Mirror Color", list(mirror["colors"].values())),
        _row("Activity", [MODES.get(one["mode"], one["mode"]) if one else "not known" for one in sides.values()]),
        _row("Lastupdate Time", [_time(one["last_update"]) if one else _NEVER for one in sides.values()]),
        _row("Break Time", [_time(one["broken_at"]) if one else _NEVER for one in sides.values()]),
        _row("Disk Error", [("ERROR" if one["error"] else "NO_ERROR") if one else "--" for one in sides.values()]),
        _row("Differs", [size_text(one["dirty"]) if one else "--" for one in sides.values()]),
        _row("Disk Size", [size_text(one["size"]) if one else "--" for one in sides.values()]),
    ]  # fmt: skip
    lines += _recovery(mirror)
    lines += _compared(mirror)
    return "\n".join([*lines, "", *said(mirror)])


def said(mirror: Json) -> Iterator[str]:
    """What is wrong, and what to do."""
    for look, code, values in mirror["facts"]:
        mark = "" if look in ("good", "note") else "* "
        yield f" {mark}{told(code, values, size=size_text, when=time_text)}"
        if code + NEXT in SENTENCES:
            yield f"   {told(code + NEXT, values, size=size_text, when=time_text)}"


def _recovery(mirror: Json) -> Iterator[str]:
    source = source_of(mirror["servers"])
    if not source:
        return
    one = mirror["servers"][source]
    percent = percent_of(one)
    yield ""
    yield f" Recovery: {source} -> {one['peer']}"
    if percent is not None:
        yield f"   Progress       {percent:.0f} %  ({size_text(one['copied'])} of {size_text(one['to_copy'])})"
    yield f"   Left           {size_text(left_of(one))}"
    yield f"   Rate           {size_text(one['rate'])}/s"
    yield f"   Remaining time {'not known' if one['remaining_s'] is None else duration_text(one['remaining_s'])}"


def _compared(mirror: Json) -> Iterator[str]:
    for one in mirror["servers"].values():
        verify = one["verify"] if one else {}
        if verify.get("running"):
            yield f" Compared now: {size_text(verify.get('proven_until') or 0)} of {size_text(one['size'])}"
            return
        if at := verify.get("at"):
            differing = verify.get("differing") or 0
            found = f"{size_text(differing)} differed" if differing else "proven equal"
            yield f" Compared as of {time_text(at)}: {found}"
            return


def activity(mirror: Json) -> str:
    """clpmdstat --active."""
    lines = [_row(mirror["name"], list(mirror["servers"]))]
    words = ["--" if one is None else "Active" if one["active"] else "Inactive" for one in mirror["servers"].values()]
    return "\n".join([*lines, _row("Activity", words)])


def connections(mirror: Json) -> str:
    """clpmdstat --connect: the ways between the two servers, as each of them sees them."""
    lines = []
    for server, one in mirror["servers"].items():
        if one is None:
            lines.append(f" {server}: nothing is heard of its mirror process.")
            continue
        link = one["link"]
        why = link.get("why") or link.get("error") or ""
        state = "connected" if link.get("connected") else f"not connected. {why}".rstrip()
        lines.append(f" {server} -> {one['peer']}: {state}")
        lines += [_path(path) for path in link.get("paths") or ()]
    return "\n".join(lines)


def _path(path: Json) -> str:
    state = path.get("state", "?")
    trip = f"{1000 * path['round_trip_s']:.2f} ms" if path.get("round_trip_s") else "-"
    way = f"{path.get('own', '?')} -> {path.get('peer', '?')}"
    line = f"  {'*' if state == 'used' else ' '} {path.get('name', '?'):<12} {way:<34} {state:<6} {trip:<10}"
    since = f" since {time_text(path['since'])}" if path.get("since") else ""
    return f"{line}{since}  {path.get('error') or ''}".rstrip()


def _row(label: str, values: list[str]) -> str:
    return f" {label:<{_LABEL}}{''.join(f'{value:<{_COLUMN - 1}} ' for value in values)}".rstrip()


def _time(seconds: float) -> str:
    return time_text(seconds) if seconds else _NEVER


def time_text(seconds: float) -> str:
    if not seconds:
        return "an unknown time"
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y/%m/%d %H:%M:%S")


def duration_text(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60} min"
