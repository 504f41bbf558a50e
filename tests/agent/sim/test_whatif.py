"""What-if stories: they say what a play of the whole cluster says, and they play less than that."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Activation, Cluster, Group, Resource, Server
from agent.sim.canon import Names
from agent.sim.part import Part
from agent.sim.rest import at_rest
from agent.sim.script import ScriptError, parse
from agent.sim.slices import Slices
from agent.sim.standard import DEFAULTS, standard
from agent.sim.steady import steady_world
from agent.sim.story import Fate, Story, Teller
from agent.sim.whatif import Outlook, placement, whatif

SAFE = standard(3, safe=True)


def fates(story: Story) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {name: (fate.outcome, fate.after) for name, fate in story.fates.items()}


def test_crash_moves_the_group_after_the_timeout_and_says_why() -> None:
    story = whatif(SAFE, ["crash server1"], DEFAULTS)

    fate = story.fates["failover1"]
    assert fates(story) == {"failover1": ("moves", ("server2",)), "failover2": ("stays", ("server2",))}
    assert fate.outage_s == pytest.approx(1.0 + 0.2, abs=0.05)  # the timeout and two scripts
    assert (fate.rule, fate.before) == ("failover-policy", "server1")
    assert "server1 is lost" in fate.why
    assert fate.because == ("Server server1 is down: not heard for 1.00 s on any path.",)
    assert story.at_rest
    assert story.doubles == ()


def test_steps_come_in_order_and_each_sentence_once() -> None:
    steps = whatif(standard(5, safe=True), ["crash server1"], DEFAULTS).steps

    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    assert len({(step.kind, step.name, step.text) for step in steps}) == len(steps)
    assert steps[0].text == "server1: power off"
    assert "A view with all but server1 is in force; server2 coordinates." in [step.text for step in steps]


def test_slow_start_lengthens_the_outage() -> None:
    fast = whatif(SAFE, ["crash server1"], DEFAULTS).fates["failover1"].outage_s
    slow = whatif(SAFE, ["crash server1"], DEFAULTS, {"exec1": 7.0}).fates["failover1"].outage_s

    assert fast is not None
    assert slow == pytest.approx(fast + 6.9, abs=0.01)


def test_later_event_comes_later() -> None:
    story = whatif(SAFE, ["crash server1", "at 5 crash server2"], DEFAULTS)

    offs = [step.at_s for step in story.steps if step.text.endswith("power off")]
    assert offs == [0.0, 5.0]
    assert story.fates["failover1"].outcome == "stops"


def test_split_without_resolver_is_told_with_its_time() -> None:
    story = whatif(standard(2, safe=False), ["isolate server1"], DEFAULTS)

    assert {double.group: double.servers for double in story.doubles} == {
        "failover1": ("server1", "server2"), "failover2": ("server1", "server2"),
    }  # fmt: skip
    assert all(double.for_s is None and 0.9 < double.at_s < 1.1 for double in story.doubles)
    assert {fate.outcome for fate in story.fates.values()} == {"split"}


def test_paused_server_is_reset_before_the_other_starts() -> None:
    story = whatif(SAFE, ["pause server1"], DEFAULTS)

    times = {step.text: step.at_s for step in story.steps}
    reset = next(at for text, at in times.items() if "watchdog" in text)
    assert reset < times["Group failover1 is starting on server2."]
    assert story.doubles == ()


def test_request_of_an_operator_is_an_event_too() -> None:
    story = whatif(SAFE, ["ask server1 group_move failover1 to server3"], DEFAULTS)

    assert fates(story)["failover1"] == ("moves", ("server3",))
    assert story.fates["failover1"].outage_s == pytest.approx(0.4, abs=0.05)


def test_wrong_event_names_what_there_is() -> None:
    with pytest.raises(
        ScriptError, match=r"line 2: There is no server .server9.\. Use one of server1, server2, server3"
    ):
        whatif(SAFE, ["crash server1", "crash server9"], DEFAULTS)


# Less is played -------------------------------------------------------------------------------------------------------


def many(servers: int, groups: int, seed: int) -> Cluster:
    """Groups with random policies, starts and exclusion; few servers, so that failures meet."""
    random = Random(seed)
    base = standard(servers, safe=random.random() < 0.7)
    names = base.server_names
    made, resources = [], []
    for number in range(1, groups + 1):
        policy = random.sample(names, random.randint(2, servers))
        owned = [f"exec{number}{letter}" for letter in "ab"[: random.randint(1, 2)]]
        after = (f"failover{random.randint(1, number - 1)}",) if number > 2 and random.random() < 0.15 else ()
        made.append(Group(
            name=f"failover{number}", gid=number, resources=tuple(owned), policy=tuple(policy), start_after=after,
            autostart=random.random() < 0.9, auto_failover=random.random() < 0.9,
            exclusive=1 if random.random() < 0.2 else 0,
        ))  # fmt: skip
        resources += [
            Resource(name=name, type="exec", activation=Activation(timeout_s=30, retry=1, failover=1),
                     deactivation=Activation(timeout_s=30, retry=0, action=random.choice([1, 4])))
            for name in owned
        ]  # fmt: skip
    return replace(base, groups=tuple(made), resources=tuple(resources), monitors=())


def question(cluster: Cluster, seed: int) -> list[str]:
    random = Random(seed)
    one, other = random.sample(cluster.server_names, 2)
    resource = random.choice(cluster.resources).name
    return random.choice([
        [f"crash {one}"], [f"crash {one}", f"crash {other}"], [f"isolate {one}"], [f"pause {one}"],
        [f"fail_start {resource} 100", f"crash {one}"], [f"crash {one}", f"at 4 power_on {one}"],
        [f"cut lanhb1 {one}"], ["cut lanhb1", "cut lanhb2"],
        [f"fail_stop {resource} 9", f"ask {one} server_stop {one}"],
    ])  # fmt: skip


def whole(cluster: Cluster, events: list[str]) -> dict[str, Fate]:
    """The same question played with all servers and all groups."""
    placed = placement(cluster, DEFAULTS, Slices(cluster))
    world = steady_world(cluster, placed, DEFAULTS)
    for machine in world.machines.values():
        machine.hands.exact = True
    world.run_until(world.now + world.beat_s + 0.002)
    begin = last = world.now
    lines = [event if event.startswith("at ") else f"at 0 {event}" for event in events]
    for step in parse(cluster, "\n".join([*lines, "end 1000"])).steps:
        last = begin + step.at_s
        world.run_until(last)
        step.act(world)
    while not at_rest(world, last) and world.now < last + 60:
        world.run_until(world.now + 0.1)
    return Teller(world, begin, placed).story(tuple(events), True).fates


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_part_of_the_cluster_tells_what_the_whole_would(first: int) -> None:
    for seed in range(first, first + 10):
        cluster = many(3 + seed % 5, 7, seed)
        events = question(cluster, seed)
        outlook = Outlook(cluster, DEFAULTS)

        part, all_of_it = outlook.whole(outlook.ask(events)).fates, whole(cluster, events)

        for name, fate in all_of_it.items():
            told = (part[name].outcome, part[name].after)
            assert told == (fate.outcome, fate.after), f"seed {seed}: {name} after {events}"
            assert part[name].outage_s == pytest.approx(fate.outage_s, abs=0.1), f"seed {seed}: {name} after {events}"


def larger() -> Cluster:
    """Eight servers, a group on each."""
    base = standard(8, safe=True)
    names = base.server_names
    groups = [Group(name=f"g{n}", gid=n, resources=(f"r{n}",), policy=names[n:] + names[:n]) for n in range(8)]
    step = Activation(timeout_s=30, retry=0, failover=1)
    resources = [Resource(name=f"r{n}", type="exec", activation=step, deactivation=step) for n in range(8)]
    return replace(base, groups=tuple(groups), resources=tuple(resources), monitors=())


def part_of(cluster: Cluster, *events: str) -> Part:
    slices = Slices(cluster)
    return Part(slices, placement(cluster, DEFAULTS, slices), events)


def test_only_what_can_be_concerned_is_played() -> None:
    part = part_of(larger(), "crash server3")

    played = part.cluster()

    assert [group.name for group in played.groups] == ["g2"]
    assert played.server_names == ("server1", "server2", "server3", "server4", "server5")


def test_groups_that_mind_each_other_are_played_together() -> None:
    cluster = larger()
    groups = (replace(cluster.groups[0], exclusive=1), replace(cluster.groups[5], exclusive=1), *cluster.groups[1:5],
              replace(cluster.groups[7], start_after=("g0",)))  # fmt: skip

    part = part_of(replace(cluster, groups=groups), "crash server1")

    assert part.groups == {"g0", "g5", "g7"}


def test_failure_that_spreads_is_played_as_far_as_it_goes() -> None:
    """Its stop fails, the final action takes the server down, and so the other groups there."""
    cluster = larger()
    last = Activation(timeout_s=30, retry=0, action=4)
    resources = (replace(cluster.resources[0], deactivation=last), *cluster.resources[1:])
    groups = (*cluster.groups[:7], replace(cluster.groups[7], policy=cluster.server_names))
    cluster = replace(cluster, groups=groups, resources=resources)

    story = whatif(cluster, ["fail_stop r0 1", "ask server2 group_move g0 to server2"], DEFAULTS)

    assert {name: fate.outcome for name, fate in story.fates.items() if fate.outcome != "stays"} == {
        "g0": "moves", "g7": "moves",
    }  # fmt: skip


def test_group_that_goes_round_finds_servers_that_were_left_out_at_first() -> None:
    cluster = larger()
    failing = [f"fail_start r0 100 on server{n}" for n in range(1, 7)]

    story = whatif(cluster, [*failing, "ask server1 group_stop g0", "at 3 ask server1 group_start g0"], DEFAULTS)

    assert story.fates["g0"].after == ("server7",)


# Names do not matter --------------------------------------------------------------------------------------------------


def key(cluster: Cluster, **changes: Any) -> bytes:
    events = changes.pop("events", ("crash server1",))
    return Names(replace(cluster, **changes)).key({"failover1": "server1"}, events, {})


def test_key_sees_what_the_engine_sees() -> None:
    moved = replace(SAFE.groups[0], auto_failover=False)

    assert key(SAFE) == key(SAFE)
    assert key(SAFE) != key(SAFE, groups=(moved, SAFE.groups[1]))
    assert key(SAFE) != key(SAFE, timeout_s=2.0)
    assert key(SAFE) != key(SAFE, events=("crash server2",))
    assert key(SAFE) != key(SAFE, servers=tuple(replace(s, survive=True) for s in SAFE.servers))


def test_key_does_not_see_names_comments_and_addresses() -> None:
    other = replace(
        SAFE,
        servers=tuple(Server(name=f"n{n}", priority=n + 7, comment="rack 3") for n in range(3)),
        groups=tuple(replace(g, name=f"x{g.name}", policy=tuple(f"n{int(s[-1]) - 1}" for s in g.policy))
                     for g in SAFE.groups),
        resources=tuple(replace(r, values={"parameters/ip": "192.0.2.1"}) for r in SAFE.resources),
    )  # fmt: skip

    assert Names(other).key({"xfailover1": "n0"}, ("crash n0",), {}) == key(SAFE)


def test_story_is_told_with_the_names_of_the_other_part() -> None:
    names = ("alpha", "alpha-2", "a.b")
    renamed = dict(zip(SAFE.server_names, names, strict=True))
    other = replace(
        SAFE,
        servers=tuple(replace(s, name=renamed[s.name]) for s in SAFE.servers),
        groups=tuple(replace(g, policy=tuple(renamed[s] for s in g.policy)) for g in SAFE.groups),
    )
    story = whatif(SAFE, ["crash server1"], DEFAULTS)

    told = Names(SAFE).told_of(Names(other), story)

    assert told.fates["failover1"] == whatif(other, ["crash alpha"], DEFAULTS).fates["failover1"]
    assert "server" not in "".join(step.text.replace("Server ", "") for step in told.steps)


def test_question_with_other_names_is_played_once(monkeypatch: pytest.MonkeyPatch) -> None:
    outlook = Outlook(larger(), DEFAULTS)
    first = outlook.ask(["crash server4"])
    monkeypatch.setattr(outlook, "_play", lambda *_: pytest.fail("it was played again"))

    second = outlook.ask(["crash server5"])

    assert (first.fates["g3"].after, second.fates["g4"].after) == (("server5",), ("server6",))
    assert second.fates["g4"].outage_s == first.fates["g3"].outage_s
    assert second.events == ("crash server5",)
