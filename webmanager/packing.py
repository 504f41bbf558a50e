"""A large cluster for its browsers in a tenth of the words: what most servers say alike of an object stands once.

Of hundreds of groups and thousands of monitors each server says something, and nearly all say the same: "not here". A
message that was packed has `alike`: {"servers": [[name ...] ...], "values": [value ...]}; the `servers` of an object
are then [number of its names, number of the value, {name: other value}]. `static/js/packing.js` puts it together again.
"""

from __future__ import annotations

from typing import Any

KINDS = ("groups", "resources", "monitors")
_LARGE = 2000  # words of servers about objects; below it nothing is won


def is_large(status: dict[str, Any]) -> bool:
    return len(status["servers"]) * sum(len(status[kind]) for kind in KINDS) > _LARGE


def packed(message: dict[str, Any]) -> dict[str, Any]:
    """A snapshot as it is sent: a small one as it is. What it is made of stays as it was."""
    status = message.get("status")
    if not status or not is_large(status):
        return message
    alike = _Alike()
    whole = {kind: {name: alike.pack(one) for name, one in status[kind].items()} for kind in KINDS}
    return {**message, "status": {**status, **whole}, "alike": {"servers": alike.names, "values": alike.values}}


class _Alike:
    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.values: list[Any] = []
        self._names_at: dict[tuple[str, ...], int] = {}
        self._values_at: dict[int, int] = {}  # by identity: the reducer says the same with the same object

    def pack(self, made: dict[str, Any]) -> dict[str, Any]:
        servers = made["servers"]
        if len(servers) < 2:
            return made
        said = list(servers.values())
        common = said[0] if said[0] == said[1] else said[-1]
        others = {name: value for name, value in servers.items() if value is not common and value != common}
        return {**made, "servers": [self._names(tuple(servers)), self._value(common), others]}

    def _names(self, names: tuple[str, ...]) -> int:
        if (at := self._names_at.get(names)) is None:
            at = self._names_at[names] = len(self.names)
            self.names.append(list(names))
        return at

    def _value(self, value: Any) -> int:
        if (at := self._values_at.get(id(value))) is None:
            at = self._values_at[id(value)] = len(self.values)
            self.values.append(value)
        return at
