"""The scenario language: a story of faults and operator requests, one step a line, played on a simulated cluster.

absent server3                              not switched on at the beginning
overlap failover1                           this story makes the group active twice; that is no violation
at 10 crash server1                         power_on, pause, resume: likewise
at 10 cut lanhb1 [server1]                  a whole LAN, or one server's cable to it
at 10 isolate server1                       from every other server, on every LAN
at 10 kill_daemon server1 0.5               its successor starts half a second later
at 10 lose_resolver httpnp1 [server1]         nobody reaches it any more, or one server does not
at 10 deafen server1 to server2             server1 hears nothing of server2
at 10 split server1 server2 | server3       nothing passes between the two sides
at 10 loss 0.2                              of heartbeats and messages
at 10 lose Install 2                        the next two messages of this kind
at 10 heal                                  the network is as new
at 10 fail_start exec1 2 [on server1]       the next two activations fail; fail_stop likewise
at 10 stall exec1 1 [on server1]            the next step of it does not even end at its timeout
at 10 slow_start exec1 5 [on server1]       activations take 5 s from now on; slow_stop likewise
at 10 sick exec1 [always] [on server1]      its monitor finds an error until it was activated again, or always
at 10 cure exec1 [on server1]
at 10 ask server1 group_move failover1 [to server2] [as move1]
at 10 ask server1 monitor_suspend pidw1 [to server2]
end 60
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple, get_args, get_type_hints

from agent.clpconf.model import Cluster
from agent.sim.explain import explain
from agent.sim.hands import Hands
from agent.sim.world import Defaults, World
from agent.wire.peer import Message, Request

LONGEST_S = 1_000_000.0
_OPERATIONS: tuple[str, ...] = get_args(get_type_hints(Request)["op"])
_MESSAGES = tuple(kind.__name__ for kind in get_args(Message))
_Act = Callable[[World], None]


class ScriptError(ValueError):
    """What is wrong, on which line, and the remedy."""

    def __init__(self, line: int, text: str, remedy: str) -> None:
        super().__init__(f"line {line}: {text} {remedy}")
        self.line, self.text, self.remedy = line, text, remedy


class Step(NamedTuple):
    at_s: float
    act: _Act


class Script(NamedTuple):
    steps: tuple[Step, ...]
    end_s: float
    absent: frozenset[str]
    overlap: frozenset[str]  # groups


def play(
    cluster: Cluster, text: str, seed: int = 0, defaults: Defaults | None = None, *, record: bool = False
) -> World:
    """Play a script to its end. Raises ScriptError before anything is played."""
    script = parse(cluster, text)
    world = World(cluster, seed, defaults, start=False, record=record)
    world.promises.may_overlap = script.overlap.__contains__
    for name in cluster.server_names:
        if name not in script.absent:
            world.power_on(name)
    for step in script.steps:
        world.run_until(step.at_s)
        step.act(world)
    world.run_until(script.end_s)
    return world


def transcript(world: World) -> str:
    """What happened, then why."""
    return "\n".join([*world.lines, "", "Why", *explain(world.notes), ""])


def parse(cluster: Cluster, text: str) -> Script:
    return _Parser(cluster).script(text)


class _Words:
    """The words of one line, taken from the left; what is missing or unknown is named with its line."""

    def __init__(self, line: int, words: Sequence[str]) -> None:
        self.line = line
        self.words = list(words)

    def fail(self, text: str, remedy: str) -> ScriptError:
        return ScriptError(self.line, text, remedy)

    def take(self, what: str, known: Collection[str] = ()) -> str:
        if not self.words:
            raise self.fail(f"{what.capitalize()} is missing.", _one_of(known) or f"Write {what} here.")
        word = self.words.pop(0)
        if known and word not in known:
            raise self.fail(f'There is no {what} "{word}".', _one_of(known))
        return word

    def number(self, what: str, low: float = 0.0, high: float = LONGEST_S) -> float:
        word = self.take(what)
        try:
            value = float(word)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise self.fail(f'"{word}" is no {what}.', f"Write a number from {low:g} to {high:g}.")
        return value

    def count(self, what: str) -> int:
        value = self.number(what, 1, 1000)
        if value != int(value):
            raise self.fail(f'"{value:g}" is no {what}.', "Write a whole number.")
        return int(value)

    def has(self, word: str) -> bool:
        """Takes the word when it stands here."""
        if self.words[:1] == [word]:
            del self.words[0]
            return True
        return False

    def optional(self, before: str, what: str, known: Collection[str] = ()) -> str:
        return self.take(what, known) if self.has(before) else ""

    def ended(self) -> None:
        if self.words:
            raise self.fail(f'"{" ".join(self.words)}" is too much.', "Remove it, or write it on a line of its own.")


class _Parser:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.servers = cluster.server_names
        self.groups = tuple(group.name for group in cluster.groups)
        self.resources = tuple(resource.name for resource in cluster.resources)
        self.monitors = tuple(monitor.name for monitor in cluster.monitors)
        self.heartbeats = tuple(heartbeat.name for heartbeat in cluster.heartbeats)
        self.resolvers = (*cluster.pings, *cluster.arbiters)
        self.absent: set[str] = set()
        self.overlap: set[str] = set()
        self.steps: list[Step] = []
        self.end_s = -1.0
        self.verbs: dict[str, Callable[[_Words], _Act]] = {
            **{verb: partial(self._power, verb) for verb in ("crash", "power_on", "pause", "resume")},
            **{verb: partial(self._fail, verb) for verb in ("fail_start", "fail_stop", "stall")},
            **{verb: partial(self._slow, verb) for verb in ("slow_start", "slow_stop")},
            "sick": self._sick, "cure": self._cure, "cut": self._cut, "deafen": self._deafen, "split": self._split,
            "isolate": self._isolate, "kill_daemon": self._kill_daemon, "lose_resolver": self._lose_resolver,
            "loss": self._loss, "lose": self._lose, "heal": self._heal, "ask": self._ask,
        }  # fmt: skip

    def script(self, text: str) -> Script:
        number = 0
        for number, line in enumerate(text.splitlines(), 1):
            words = line.partition("#")[0].split()
            if words:
                self._line(_Words(number, words))
        if self.end_s < 0:
            raise ScriptError(number + 1, "The script has no end.", "Add a last line: end 60")
        return Script(tuple(self.steps), self.end_s, frozenset(self.absent), frozenset(self.overlap))

    def _line(self, words: _Words) -> None:
        word = words.take("keyword", ("at", "absent", "overlap", "end"))
        if self.end_s >= 0:
            raise words.fail("This line comes after the end.", "Move the end line to the end.")
        if word == "at":
            at_s = self._time(words)
            self.steps.append(Step(at_s, self.verbs[words.take("step", tuple(self.verbs))](words)))
        elif word == "end":
            self.end_s = self._time(words)
        elif word == "absent":
            self.absent.add(words.take("server", self.servers))
        else:
            self.overlap.add(words.take("group", self.groups))
        words.ended()

    def _time(self, words: _Words) -> float:
        at_s = words.number("time")
        if self.steps and at_s < self.steps[-1].at_s:
            raise words.fail(f"Time {at_s:g} is before that of the step above.", "Put the steps in the order of time.")
        return at_s

    # Servers ----------------------------------------------------------------------------------------------------

    def _power(self, verb: str, words: _Words) -> _Act:
        server = words.take("server", self.servers)
        return lambda world: getattr(world, verb)(server)

    def _kill_daemon(self, words: _Words) -> _Act:
        server = words.take("server", self.servers)
        back_s = words.number("number of seconds")
        return lambda world: world.kill_daemon(server, back_s)

    # Network ----------------------------------------------------------------------------------------------------

    def _cut(self, words: _Words) -> _Act:
        heartbeat = words.take("heartbeat", self.heartbeats)
        server = words.take("server", self.servers) if words.words else ""

        def act(world: World) -> None:
            world.line(server, "cut", heartbeat)
            world.network.cut_lan(self.heartbeats.index(heartbeat), server)

        return act

    def _deafen(self, words: _Words) -> _Act:
        deaf = words.take("server", self.servers)
        words.take("word", ("to",))
        unheard = words.take("server", self.servers)

        def act(world: World) -> None:
            world.line(deaf, "deaf", f"to {unheard}")
            world.network.cut(unheard, deaf)

        return act

    def _split(self, words: _Words) -> _Act:
        side: list[str] = []
        while words.words and not words.has("|"):
            side.append(words.take("server", self.servers))
        other = []
        while words.words:
            other.append(words.take("server", self.servers))
        if sorted([*side, *other]) != sorted(self.servers) or not side or not other:
            raise words.fail("The two sides are not all servers, each once.", "Write: split server1 | server2 server3")

        def act(world: World) -> None:
            world.line("", "split", f"{', '.join(side)} | {', '.join(other)}")
            world.network.split(tuple(side))

        return act

    def _isolate(self, words: _Words) -> _Act:
        server = words.take("server", self.servers)

        def act(world: World) -> None:
            world.line(server, "isolated", "from every other server")
            world.network.split((server,))

        return act

    def _lose_resolver(self, words: _Words) -> _Act:
        name = words.take("resolver", self.resolvers)
        server = words.take("server", self.servers) if words.words else ""

        def act(world: World) -> None:
            world.line(server, "resolver", f"{name} is not reached any more")
            if server:
                world.resolvers.cuts.add((server, name))
            else:
                world.resolvers.down.add(name)

        return act

    def _loss(self, words: _Words) -> _Act:
        share = words.number("share", 0.0, 1.0)

        def act(world: World) -> None:
            world.line("", "loss", f"{share:.0%} of all packets")
            world.network.loss = share

        return act

    def _lose(self, words: _Words) -> _Act:
        kind = words.take("message", _MESSAGES)
        count = words.count("count")
        return lambda world: world.network.lose(kind, count)

    def _heal(self, words: _Words) -> _Act:
        def act(world: World) -> None:
            world.line("", "heal", "network")
            world.network.heal()

        return act

    # Resources --------------------------------------------------------------------------------------------------

    def _fail(self, verb: str, words: _Words) -> _Act:
        resource, times = words.take("resource", self.resources), words.count("count")

        def change(hands: Hands) -> None:
            plans = {"fail_start": hands.fail_start, "fail_stop": hands.fail_stop, "stall": hands.stalls}
            plans[verb][resource] = times

        return self._change(words, f"{verb} {resource} {times}", change)

    def _slow(self, verb: str, words: _Words) -> _Act:
        resource, seconds = words.take("resource", self.resources), words.number("number of seconds")

        def change(hands: Hands) -> None:
            (hands.slow_start if verb == "slow_start" else hands.slow_stop)[resource] = seconds

        return self._change(words, f"{verb} {resource} {seconds:g} s", change)

    def _sick(self, words: _Words) -> _Act:
        resource = words.take("resource", self.resources)
        always = words.has("always")

        def change(hands: Hands) -> None:
            (hands.incurable if always else hands.sick).add(resource)

        return self._change(words, f"sick {resource}{' always' if always else ''}", change)

    def _cure(self, words: _Words) -> _Act:
        resource = words.take("resource", self.resources)

        def change(hands: Hands) -> None:
            hands.sick.discard(resource)
            hands.incurable.discard(resource)

        return self._change(words, f"cure {resource}", change)

    def _change(self, words: _Words, text: str, change: Callable[[Hands], None]) -> _Act:
        """On one server, or on all."""
        server = words.optional("on", "server", self.servers)

        def act(world: World) -> None:
            world.line(server, "hands", text)
            for name in (server,) if server else self.servers:
                change(world.machines[name].hands)

        return act

    # Operators --------------------------------------------------------------------------------------------------

    def _ask(self, words: _Words) -> _Act:
        at = words.take("server", self.servers)
        op = words.take("operation", _OPERATIONS)
        kind = op.partition("_")[0]
        known = {"group": self.groups, "server": self.servers, "monitor": self.monitors}.get(kind, ())
        target = words.take(kind, known) if known else ""
        server = words.optional("to", "server", self.servers)
        name = words.optional("as", "name of the request") or f"ask{words.line}"
        request = Request(id=name, op=op, target=target, server=server, by="operator")  # type: ignore[arg-type]

        def act(world: World) -> None:
            machine = world.machines[at]
            answers = "" if machine.on and not machine.paused else ": nobody answers there"
            world.line(at, "ask", f"{' '.join(filter(None, (op, target, server)))} ({name}){answers}")
            world.ask(at, request)

        return act


def _one_of(known: Collection[str]) -> str:
    return f"Use one of {', '.join(known)}." if known else ""
