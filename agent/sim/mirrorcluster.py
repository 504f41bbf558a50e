"""What surrounds a simulated mirror: the safe cluster that gives orders, the application that keeps a ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.mirror.side import Order
from agent.wire.epoch import Epoch

if TYPE_CHECKING:
    from agent.sim.mirror import MirrorWorld


class Cluster:
    """Two servers and a witness: a view of one is formed by whoever was in the view before, never by both sides.

    A server is left out of the view when it is down or paused. `words` are on their way to the servers and may come in
    any order, but never from an older view after a newer one. One that lets a side go on alone is too old to be obeyed
    when its server was left out meanwhile (agent/mirrord/orders.py: its time is that server's lease)."""

    def __init__(self, world: MirrorWorld) -> None:
        self.world = world
        self.number = 1  # of the view
        self.counter = 1  # of views and activations
        self.members = {"a", "b"}
        self.last_view = dict.fromkeys(self.members, self.number)  # the newest one that each belonged to
        self.holder = ""  # ordered to be active, or active
        self.held: Epoch | None = None  # by which order
        self.since = dict.fromkeys(self.members, self.epoch)
        self.stopping = ""
        self.refusals: set[str] = set()
        self.rebooted: set[str] = set()  # died and not left out of a view since: it is no member as it was
        self.words: list[tuple[int, str, Callable[[], None]]] = []

    @property
    def epoch(self) -> Epoch:
        return Epoch(self.counter, 0)

    def look(self) -> None:
        """One glance at who is there, and one decision."""
        up = {name for name, server in self.world.servers.items() if server.side is not None and not server.paused}
        old = self.members - self.rebooted
        if up >= self.members and not old:
            self._install(up)  # All of them died.
        elif old & up and up - self.rebooted != self.members:
            self._install(up - self.rebooted)
        if self.members <= up:
            self._place()

    def _install(self, members: set[str]) -> None:
        self.number += 1
        self.counter += 1
        if self.holder in self.rebooted:
            self.holder = ""
        self.since |= dict.fromkeys(members - (self.members - self.rebooted), self.epoch)
        self.members = members
        self.last_view |= dict.fromkeys(members, self.number)
        self.rebooted.clear()
        self.refusals.clear()
        self.world.note(f"view {self.number}: {sorted(members)}")
        if self.holder and self.holder not in members:
            self.holder = ""
        self.stopping = ""
        for name in members:
            self._view(name)
            if name != self.holder and self._serves(name):
                self._stop(name)
            elif name == self.holder and not self._serves(name):
                self._order(name)

    def _serves(self, name: str) -> bool:
        """What its agent reports."""
        side = self.world.servers[name].side
        return side is not None and side.active

    def _view(self, name: str) -> None:
        since = self.since[name]
        permitted = self.held if len(self.members) == 1 and name == self.holder else None

        def say() -> None:
            permit = permitted if self.answers_for(name) else None
            self.world.servers[name].tell(lambda side: side.view(permit, since))

        self._say(name, say)

    def answers_for(self, name: str) -> bool:
        """Nobody else can have been started in its place since it was said."""
        return name in self.members

    def _place(self) -> None:
        if self.holder or self.stopping:
            return
        serving = [name for name in sorted(self.members) if self._serves(name)]
        for name in serving:
            self._stop(name)
        if serving:
            return
        choices = sorted(self.members - self.refusals)
        if not choices:
            self.refusals.clear()
            return
        self.holder = self.world.random.choice(choices)
        self._order(self.holder)

    def force(self) -> None:
        """The operator wants it active where it refuses, and sees that the other server has no generation of its own:
        nothing but newest writes is lost, and both sides must come together again by themselves."""
        names = sorted(self.members & self.refusals)
        if self.holder or self.stopping or len(self.members) > 1 or not names:
            return
        mine, other = self.world.servers[names[0]], self.world.servers["b" if names[0] == "a" else "a"]
        if mine.side is None or not mine.side.constructed:
            return
        if not other.generations() <= {"", mine.side.past.current, *mine.side.past.history}:
            return
        self.world.count("force")
        self.world.application.forced(names[0])
        self.holder = names[0]
        self._order(self.holder, force=True)

    def _order(self, name: str, *, force: bool = False) -> None:
        self.counter += 1  # Every activation has a number of its own.
        order = Order(self.epoch, self.since[name], alone=len(self.members) == 1, force=force)
        self.held = self.epoch

        def start() -> None:
            if order.alone and not self.answers_for(name):
                return
            self.world.servers[name].ordered_alone = order.alone
            self.world.servers[name].tell(lambda side: side.activate(order))

        self._say(name, start)

    def _stop(self, name: str) -> None:
        def stop() -> None:
            self.world.application.leaves(name)
            self.world.servers[name].tell(lambda side: side.deactivate())

        self._say(name, stop)

    def move(self) -> None:
        """The operator wants it elsewhere."""
        if self.holder and self._serves(self.holder) and not self.stopping:
            self.stopping = self.holder
            self._stop(self.holder)

    def _say(self, name: str, word: Callable[[], None]) -> None:
        self.words.append((self.number, name, word))

    def deliver(self) -> None:
        """The oldest word to one server that listens."""
        random, servers = self.world.random, self.world.servers
        ready = sorted({name for _, name, _ in self.words if not servers[name].paused})
        if not ready:
            return
        name = random.choice(ready)
        at = next(place for place, (_, to, _) in enumerate(self.words) if to == name)
        number, _, word = self.words.pop(at)
        if servers[name].side is not None and number == self.last_view[name]:
            word()

    # ---- what the sides say ----
    def activated(self, name: str) -> None:
        if name == self.world.application.on:
            return
        if name == self.holder:
            self.world.application.moves_to(name)
        else:
            self._stop(name)  # An order of an older view, carried out late.

    def deactivated(self, name: str) -> None:
        if name == self.holder:
            self.holder = ""
        if name == self.stopping:
            self.stopping = ""
            self.refusals = {name}  # At first it is tried elsewhere.
        self.world.application.leaves(name)

    def refused(self, name: str) -> None:
        self.refusals.add(name)
        if name == self.holder:
            self.holder = ""

    def died(self, name: str) -> None:
        self.words = [word for word in self.words if word[1] != name]
        if name in self.members:
            self.rebooted.add(name)
        if self.stopping == name:
            self.stopping = ""
        self.world.application.leaves(name)

    def process_back(self, name: str) -> None:
        """Its mirror process alone had died: the group still runs here, and the device has to work again."""
        if name in self.members:
            self._view(name)
            if name == self.holder:
                self._order(name)

    def ask_outdated(self, name: str, generation: str, epoch: Epoch) -> None:
        other = "b" if name == "a" else "a"
        if name not in self.members:
            return
        if other not in self.members:
            self._view(name)
        elif epoch == self.epoch or name == self.holder:
            self._say(other, lambda: self.world.servers[other].tell(lambda side: side.outdate(generation, epoch)))

    def told(self, name: str, generation: str) -> None:
        other = "b" if name == "a" else "a"
        if {name, other} <= self.members:
            self._say(other, lambda: self._outdated(other, generation))

    def _outdated(self, name: str, generation: str) -> None:
        if self.answers_for(name):
            self.world.servers[name].tell(lambda side: side.outdated_there(generation))


class Application:
    """Writes cells and remembers what it was promised."""

    def __init__(self, world: MirrorWorld, cells: int) -> None:
        self.world = world
        self.cells = cells
        self.on = ""
        self._number = 0
        self.acked = [0] * cells  # the least that each cell must hold
        self.flushed = [0] * cells
        self.void: list[set[int]] = [set() for _ in range(cells)]  # written once, read as never written since
        self.issued: list[int] = [0] * cells
        self.going: dict[int, tuple[tuple[int, int], ...]] = {}
        self._boots: dict[int, dict[str, int]] = {}  # at the time of each write that is on its way
        self.flushes: dict[int, list[int]] = {}
        self.ghosts: set[int] = set()  # writes of a server on which the application does not run any more
        # Servers that have the newest acknowledged write of a cell, and have not lost their power since.
        self.keepers: list[set[str]] = [{"a", "b"} for _ in range(cells)]
        self.acks = 0
        self.spoiled: set[int] = set()  # cells that a disk has lost by itself, until both are equal again
        # Asynchronous
        self.numbers: list[list[int]] = [[] for _ in range(cells)]  # of all writes to each cell, in order
        self.gone: set[int] = set()  # they failed, or were lost by the disk that had them
        self.confirmed_to = 0  # the newest write that the other side has said to have
        self.last = ""  # where it ran
        self._loses = ""  # server that follows one which is gone
        self._forced = ""

    def moves_to(self, name: str) -> None:
        """Started there. The one before must not hear any more that a write is safe which this one lacks."""
        self.on = name
        mine = self.world.servers[name].disk.cells
        if self._forced == name:
            self._begin_with(name, mine)
        elif self._loses in (name, "any"):
            self._judge_prefix(name, mine)
        self._loses, self._forced, self.last = "", "", name
        self.ghosts.update(s for s, cells in self.going.items() if any(mine[cell] < number for cell, number in cells))
        self.going.clear()
        self.flushes.clear()
        self.read("activation")

    # ---- asynchronous: a side follows one that is gone ----
    def may_lose(self, name: str) -> None:
        if self.world.queue is None:
            self.world.violated(f"{name} may lose something, and is synchronous")
        self._loses = name

    def given_up(self, name: str) -> None:
        """Its disk has failed, or the other side has taken over: what only it had is lost, and told."""
        if name == self.last:
            self._loses = "any"

    def confirmed(self, seq: int) -> None:
        self.confirmed_to = max(self.confirmed_to, seq)

    def is_back(self, name: str) -> None:
        """What its disk has lost in a power cut is missing without order, should it give. (What it should have got
        again is seen when both say that they are equal.)"""
        if self.world.queue is not None:
            self._forget_above(self.world.servers[name].disk.cells)

    def _forget_above(self, values: list[int]) -> None:
        for numbers, value in zip(self.numbers, values, strict=True):
            self.gone.update(number for number in numbers if number > value)

    def _judge_prefix(self, name: str, mine: list[int]) -> None:
        newest = max(mine)
        for cell, value in enumerate(mine):
            missing = next((n for n in self.numbers[cell] if n > value and n not in self.gone), 0)
            # Synchronous: what was not flushed may go with the power of all that had it.
            powerless = self.world.queue is None and missing > self.flushed[cell] and not self.keepers[cell]
            missing = 0 if cell in self.spoiled or powerless else missing
            where = f"cell {cell} on {name}, which follows"
            if missing and missing < newest:
                self.world.violated(f"{where}: it has write {newest} and not {missing}, which came before")
            if missing and missing <= self.confirmed_to:
                self.world.violated(f"{where}: it has confirmed write {self.confirmed_to} and has not {missing}")
        self._begin_with(name, mine)

    def forced(self, name: str) -> None:
        self._forced = name

    def _begin_with(self, name: str, mine: list[int]) -> None:
        """What is there counts from now on, and nothing else."""
        for cell, value in enumerate(mine):
            self.acked[cell] = min(self.acked[cell], value)
            self.flushed[cell] = min(self.flushed[cell], value)
            self.keepers[cell] = {name}
        self._forget_above(mine)

    def leaves(self, name: str) -> None:
        """No more writes. What is on its way may still be acknowledged."""
        if name == self.on:
            self.on = ""

    def haunt(self, name: str) -> None:
        """A server that does not know yet that it has lost the group goes on writing."""
        random, server = self.world.random, self.world.servers[name]
        cell = random.randrange(self.cells)
        self._number += 1
        number = self._number
        self.ghosts.add(number)
        server.writes[number] = ((cell, number),)
        self.void[cell].add(number)
        size = self.world.cell_bytes
        server.tell(lambda side: side.write(number, cell * size, size))

    def read(self, when: str) -> None:
        """All cells, as it would at its start: what it has seen now stays so."""
        mine = self.world.servers[self.on].disk.cells
        for cell, value in enumerate(mine):
            self._judge(cell, value, when)
            if value != self.acked[cell]:
                self.keepers[cell] = set()
            self.void[cell].update(range(value + 1, self.issued[cell] + 1))
            self.acked[cell] = value

    def _judge(self, cell: int, value: int, when: str) -> None:
        if cell in self.spoiled:
            self.flushed[cell] = min(self.flushed[cell], value)
            return
        where = f"cell {cell} on {self.on} at {when}"
        if value in self.void[cell]:
            self.world.violated(f"{where}: write {value} had been read as never written")
        if value < self.flushed[cell]:
            self.world.violated(f"{where}: it reads write {value}; of {self.flushed[cell]} the flush was acknowledged")
        if value < self.acked[cell] and self.keepers[cell]:
            kept = ", ".join(sorted(self.keepers[cell]))
            self.world.violated(f"{where}: it reads write {value}; {self.acked[cell]} was acknowledged, {kept} has it")

    # ---- who has what was acknowledged ----
    def lost_its_cache(self, name: str) -> None:
        for cell, keepers in enumerate(self.keepers):
            if self.acked[cell] > self.flushed[cell]:
                keepers.discard(name)

    def goes_alone(self, name: str) -> None:
        for keepers in self.keepers:
            keepers.intersection_update({name})

    def both_have_all(self) -> None:
        self.confirmed_to = self._number
        if self.world.queue is not None:
            return  # What was acknowledged counts on the disk of the active side, which gives.
        for keepers in self.keepers:
            if keepers:
                keepers.update(self.world.servers)

    def look(self) -> None:
        """Between its writes every cell reads as it must."""
        busy = {cell for cells in self.going.values() for cell, _ in cells}
        mine = self.world.servers[self.on].disk.cells
        for cell in set(range(self.cells)) - busy:
            if mine[cell] < self.acked[cell] or mine[cell] in self.void[cell]:
                self.world.violated(f"cell {cell} on {self.on} reads {mine[cell]}; {self.acked[cell]} was acknowledged")

    def write(self) -> None:
        random, server = self.world.random, self.world.servers[self.on]
        length = random.randint(1, 6)
        first = random.randrange(self.cells - length + 1)
        busy = {cell for cells in self.going.values() for cell, _ in cells}
        if busy & set(range(first, first + length)):
            return
        self._number += 1
        number = self._number
        cells = tuple((cell, number) for cell in range(first, first + length))
        for cell, _ in cells:
            self.issued[cell] = number
            self.numbers[cell].append(number)
        self.going[number] = server.writes[number] = cells
        self._boots[number] = self._boots_now()
        size = self.world.cell_bytes
        server.tell(lambda side: side.write(number, first * size, length * size))

    def flush(self) -> None:
        self._number += 1
        number = self._number
        self.flushes[number] = list(self.acked)
        self.world.servers[self.on].tell(lambda side: side.flush(number))

    def acknowledged(self, name: str, seq: int) -> None:
        self.acks += 1
        if seq in self.ghosts and self.world.queue is not None:
            return  # Its own disk has it: nobody who was replaced and does not know it yet can be kept from saying so.
        if seq in self.ghosts:
            self.world.violated(f"write {seq} was acknowledged after its application had been started elsewhere")
        side = self.world.servers[name].side
        # Until the target has taken over, it is the own disk on which an acknowledged write may count.
        both = side is not None and side.relation == "equal" and self.world.queue is None
        keepers = {"a", "b"} if both else {name}
        then, now = self._boots.pop(seq, {}), self._boots_now()
        keepers = {one for one in keepers if then.get(one) == now[one]}
        for cell, number in self.going.pop(seq, ()):
            self.acked[cell] = number
            self.keepers[cell] = set(keepers)
        for cell, number in enumerate(self.flushes.pop(seq, ())):
            self.flushed[cell] = max(self.flushed[cell], number)

    def _boots_now(self) -> dict[str, int]:
        return {name: server.boots for name, server in self.world.servers.items()}

    def failed(self, seq: int) -> None:
        self.gone.add(seq)
        self.going.pop(seq, None)
        self.flushes.pop(seq, None)
