"""The simulated network: which packet arrives, when, and how often."""

from __future__ import annotations

from random import Random


class Network:
    """Paths are the heartbeat resources, by number; a message travels if any path between the two is open.

    `cuts` holds (sender, receiver, path) triples that let nothing through; one-way faults are one triple.
    """

    def __init__(self, servers: tuple[str, ...], paths: int, random: Random) -> None:
        self.servers = servers
        self.paths = paths
        self.all_paths = tuple(range(paths))
        self.random = random
        self.cuts: set[tuple[str, str, int]] = set()
        self.loss = 0.0  # of heartbeats and of messages alike
        self.duplicates = 0.0
        self.delay_s = 0.001
        self.jitter_s = 0.002
        self.beat_jitter_s = 0.0  # of heartbeats, which may overtake each other then
        self.reorders = False  # messages may overtake each other, as across two connections
        self.newest: dict[tuple[str, str], float] = {}  # sender, receiver -> when the newest message arrives
        self.losing: dict[str, int] = {}  # kind of message -> how many further ones are lost

    def cut(self, sender: str, receiver: str, path: int | None = None) -> None:
        """One way. Without `path`, all of them."""
        self.cuts.update((sender, receiver, p) for p in self._paths(path))

    def cut_lan(self, path: int, server: str = "") -> None:
        """A whole LAN, or one server's cable to it, both ways."""
        for a in self.servers:
            for b in self.servers:
                if a != b and server in ("", a, b):
                    self.cuts.add((a, b, path))

    def split(self, side: tuple[str, ...]) -> None:
        """Nothing passes between `side` and the others."""
        for a in side:
            for b in self.servers:
                if b not in side:
                    self.cut(a, b)
                    self.cut(b, a)

    def lose(self, kind: str, count: int) -> None:
        """The next messages of this kind do not arrive."""
        self.losing[kind] = count

    def loses(self, kind: str) -> bool:
        if self.losing.get(kind, 0) == 0:
            return False
        self.losing[kind] -= 1
        return True

    def heal(self) -> None:
        self.cuts.clear()
        self.losing.clear()
        self.loss = self.duplicates = 0.0
        self.jitter_s = 0.002
        self.beat_jitter_s = 0.0

    def _paths(self, path: int | None) -> range:
        return range(self.paths) if path is None else range(path, path + 1)

    @property
    def calm(self) -> bool:
        """Every heartbeat arrives, once, after `delay_s`."""
        return not (self.cuts or self.loss or self.duplicates or self.beat_jitter_s)

    def beat_delays(self, sender: str, receiver: str, path: int) -> list[float]:
        """Seconds until the copies of one heartbeat arrive."""
        if self.cuts and (sender, receiver, path) in self.cuts:
            return []
        if self.loss and self.random.random() < self.loss:
            return []
        copies = 2 if self.duplicates and self.random.random() < self.duplicates else 1
        if not self.beat_jitter_s:
            return [self.delay_s] * copies
        return [self.delay_s + self.random.random() * self.beat_jitter_s for _ in range(copies)]

    def opens(self, sender: str, receiver: str) -> bool:
        """Some path lets something through."""
        return not self.cuts or not all((sender, receiver, p) in self.cuts for p in self.all_paths)

    def connects(self, sender: str, receiver: str) -> bool:
        """A stream can be there: it needs its way back."""
        return self.opens(sender, receiver) and self.opens(receiver, sender)

    def message_delays(self, sender: str, receiver: str) -> list[float]:
        """When the copies of one message arrive: none when it is lost, two when it is repeated."""
        if self.cuts and not self.connects(sender, receiver):
            return []
        if self.loss and self.random.random() < self.loss:
            return []
        copies = 2 if self.duplicates and self.random.random() < self.duplicates else 1
        return [self.delay_s + self.random.random() * self.jitter_s for _ in range(copies)]

    def in_order(self, sender: str, receiver: str, now: float, delay: float) -> float:
        """The delay with which a message does not overtake an earlier one of the same stream."""
        if self.reorders:
            return delay
        at = max(now + delay, self.newest.get((sender, receiver), 0.0))
        self.newest[sender, receiver] = at
        return at - now

    def connected(self) -> bool:
        """Every pair of servers hears each other."""
        return all(self.opens(a, b) for a in self.servers for b in self.servers if a != b)
