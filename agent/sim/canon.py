"""Two parts of a cluster that differ in nothing but names have the same future: it is played once and told of both.

`Names` numbers the servers, groups, resources and monitors of a part in the order of the configuration. Equal keys
mean: the engines see the same, up to these names. What they never look at (addresses, paths, comments) does not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from agent.clpconf.model import Cluster

_UNSEEN = ("name", "comment", "values", "overrides", "devices", "gid", "priority")  # the order tells the last two
_KEPT = ("type", "heartbeats", "resolvers", "fences")  # words of the format; names of what every part has
_T = TypeVar("_T")


class Names:
    """Of one part."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        resources, monitors = [r.name for r in cluster.resources], [m.name for m in cluster.monitors]
        self.ordered = [*cluster.server_names, *(group.name for group in cluster.groups), *resources, *monitors]
        self.number = {name: number for number, name in enumerate(self.ordered)}
        self._pattern: re.Pattern[str] | None = None

    def key(self, placement: Mapping[str, str], events: Sequence[str], slow: Mapping[str, float]) -> bytes:
        by_gid = sorted(self.cluster.groups, key=lambda group: group.gid)
        parts = [
            self._seen(msgspec.to_builtins(self.cluster)),
            [self.number[group.name] for group in by_gid],
            sorted((self.number[group], self.number[server]) for group, server in placement.items()),
            [[self.number.get(word, word) for word in event.split()] for event in events],
            [[self.number[r.name], slow[r.name]] for r in self.cluster.resources if r.name in slow],
        ]
        return msgspec.json.encode(parts)

    def _seen(self, value: Any) -> Any:
        """As the engines see it, with numbers for names."""
        if isinstance(value, str):
            return self.number.get(value, value)
        if isinstance(value, dict):
            return [each if key in _KEPT else self._seen(each) for key, each in value.items() if key not in _UNSEEN]
        if isinstance(value, list | tuple):
            return [self._seen(each) for each in value]
        return value

    def told_of(self, other: Names, value: _T) -> _T:
        """What was found out about this part, with the names of the other one."""
        if self.ordered == other.ordered:
            return value
        found: _T = self._renamed(value, other.ordered)
        return found

    def _renamed(self, value: Any, names: Sequence[str]) -> Any:
        if isinstance(value, str):
            return self._matcher().sub(lambda word: names[self.number[word[0]]], value)
        if isinstance(value, msgspec.Struct):
            fields = {name: self._renamed(getattr(value, name), names) for name in value.__struct_fields__}
            return type(value)(**fields)
        if isinstance(value, dict):
            return {self._renamed(key, names): self._renamed(each, names) for key, each in value.items()}
        if isinstance(value, tuple):
            return tuple(self._renamed(each, names) for each in value)
        return value

    def _matcher(self) -> re.Pattern[str]:
        if self._pattern is None:
            longest_first = sorted(map(re.escape, self.ordered), key=len, reverse=True)
            self._pattern = re.compile(rf"(?<![\w.-])(?:{'|'.join(longest_first)})(?![\w-])")
        return self._pattern
