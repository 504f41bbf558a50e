"""Changes of the configuration of a running cluster: confirmed, returned, missed, and in the middle of faults."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.engine.coordinator import Coordinator
from agent.engine.membership import Membership
from agent.engine.switch_lead import SwitchLead
from agent.sim.fuzz import fuzz
from agent.sim.standard import DEFAULTS, standard
from agent.sim.switch import Keeping, name_of
from agent.sim.world import World
from agent.wire.peer import Request

BEGIN_S = 10.0
MEET_S = 21.0  # and a little: for all to be heard with the new configuration
SEEDS = 12

Groups = tuple[str, ...]


class Change:
    """Three servers at rest, and another configuration that all of them have stored."""

    def __init__(self, *, safe: bool = True, mute: bool = False, groups: Groups = (), servers: int = 3) -> None:
        self.first = standard(servers, safe=safe)
        self.second = replace(self.first, comment="new")
        self.world = World(self.first, 1, DEFAULTS, start=False)
        self.world.configurations.begin(self.first)
        self.new = self.world.configurations.offer(self.second, mute=mute)
        self.groups = groups
        for name in self.first.server_names:
            self.world.power_on(name)
        self.world.run_until(BEGIN_S)
        for name in self.first.server_names:
            self.world.configurations.store(name, self.new, groups)

    def apply(self, *, confirm_s: float = 0.0, health: bool = False) -> None:
        self.ask("config_apply", target=self.new, confirm_s=confirm_s, health=health)

    def ask(self, op: str, server: str = "server2", **fields: Any) -> None:
        self.world.ask(server, Request(id=f"{op} {self.world.now}", op=op, by="test", **fields))  # type: ignore[arg-type]

    def run(self, seconds: float) -> None:
        self.world.run_until(self.world.now + seconds)

    @property
    def running(self) -> dict[str, str]:
        old, new = "old", "new"
        return {m.name: new if m.keeping.config == self.new else old for m in self.world.machines.values()}

    @property
    def states(self) -> set[str]:
        return {m.keeping.switch.state if m.keeping.switch else "none" for m in self.world.machines.values()}

    def said(self, *words: str) -> list[str]:
        return [line for line in self.world.lines if all(word in line for word in words)]

    def stops(self, group: str) -> int:
        return len(self.said(f"Group {group} is stopping")) + len(self.said("OVERLAP"))

    def is_at_rest(self) -> bool:
        machines = self.world.machines.values()
        online = all(len(self.world.online_on(group.name)) == 1 for group in self.first.groups)
        return online and not any(m.engine.membership.frozen or m.engine.table.applying for m in machines)


def everywhere(what: str, servers: int = 3) -> dict[str, str]:
    return {f"server{n}": what for n in range(1, servers + 1)}


def test_change_is_confirmed_on_all_servers_and_what_it_does_not_concern_runs_on() -> None:
    change = Change(groups=("failover1",))

    change.apply()
    change.run(10)

    assert change.running == everywhere("new")
    assert change.states == {"confirmed"}
    assert change.is_at_rest()
    assert (change.stops("failover1"), change.stops("failover2")) == (1, 0)
    assert change.world.violations == []


def test_change_that_nobody_confirms_is_taken_back_in_time() -> None:
    change = Change(groups=("failover1",))

    change.apply(confirm_s=5.0)
    change.run(4)
    assert change.running == everywhere("new")
    change.run(20)

    assert change.running == everywhere("old")
    assert change.said("returned to configuration", "it was not confirmed within 5 s")
    assert change.is_at_rest()
    assert (change.stops("failover1"), change.stops("failover2")) == (2, 0)


def test_confirmation_in_time_is_durable_everywhere_before_it_is_answered() -> None:
    change = Change()

    change.apply(confirm_s=5.0)
    change.run(4)
    assert change.states == {"trying"}
    change.ask("config_confirm")
    change.world.run_while(lambda: not change.said("answer", "config_confirm", "code 0"), change.world.now + 2)
    assert change.states == {"confirmed"}
    change.run(20)

    assert change.running == everywhere("new")


@pytest.mark.parametrize("healthy", [True, False])
def test_health_decides_at_the_end_when_it_was_asked_to(healthy: bool) -> None:
    change = Change()

    change.apply(confirm_s=6.0, health=True)
    change.run(4)
    if not healthy:
        change.world.crash("server3")
    change.run(30)
    change.world.power_on("server3")
    change.run(30)

    assert change.running == everywhere("new" if healthy else "old")
    assert healthy or change.said("it was not confirmed within 6 s, and server3 is not in the cluster")


def test_health_forgives_what_was_wrong_before() -> None:
    change = Change()
    change.ask("group_move", server="server1", target="failover1")
    change.world.machines["server1"].hands.incurable.update(("exec1", "exec2"))
    change.run(25)
    before = [name for name in ("failover1", "failover2") if not change.world.online_on(name)]

    change.apply(confirm_s=6.0, health=True)
    change.run(30)

    assert change.running == everywhere("new")
    assert before == [name for name in ("failover1", "failover2") if not change.world.online_on(name)]


def test_server_that_is_removed_must_be_stopped_and_need_not_be_here() -> None:
    change = Change(safe=False)
    two = tuple(server for server in change.first.servers if server.name != "server3")
    names = tuple(server.name for server in two)
    policy = {group.name: tuple(s for s in group.policy if s in names) for group in change.first.groups}
    groups = tuple(replace(group, policy=policy[group.name]) for group in change.first.groups)
    smaller = change.world.configurations.offer(replace(change.first, servers=two, groups=groups))
    for name in names:
        change.world.configurations.store(name, smaller, tuple(policy), servers=names)

    change.ask("config_apply", target=smaller)
    change.run(5)
    refused = change.said("answer", "still_here", "server3")
    change.ask("server_stop", server="server3", target="server3")
    change.run(5)
    change.ask("config_apply", target=smaller)
    change.run(15)

    assert refused
    assert {m.keeping.config for n, m in change.world.machines.items() if n in names} == {smaller}
    assert change.world.machines["server1"].engine.report.members == names
    assert change.is_at_rest()


def test_operator_returns_before_the_time_is_over() -> None:
    change = Change()

    change.apply(confirm_s=600.0)
    change.run(4)
    change.ask("config_return")
    change.run(10)

    assert change.running == everywhere("old")
    assert change.said("returned to configuration", "test wanted it")


@pytest.mark.parametrize("servers", [2, 3])
def test_wrong_nic_brings_all_back_by_themselves_and_stops_nothing(servers: int) -> None:
    change = Change(safe=False, mute=True, servers=servers)

    change.apply(confirm_s=30.0)
    change.run(3)
    assert "new" in change.running.values()
    change.run(2 * MEET_S + 12)

    assert change.running == everywhere("old", servers)
    assert change.said("returned to configuration", "was not heard with the new configuration")
    assert change.is_at_rest()
    assert (change.stops("failover1"), change.stops("failover2")) == (0, 0)


def test_wrong_nic_with_self_fencing_ends_in_the_configuration_before_and_never_twice() -> None:
    change = Change(mute=True)

    change.apply(confirm_s=30.0)
    change.run(3 * MEET_S)

    assert change.running == everywhere("old")
    assert change.is_at_rest()
    assert change.said("OVERLAP") == []


def test_server_that_reboots_unconfirmed_returns_and_takes_it_again_when_it_was_confirmed() -> None:
    change = Change()
    change.apply(confirm_s=15.0)
    change.run(4)

    change.world.crash("server3")
    change.run(2)
    change.world.power_on("server3")
    change.run(1)
    assert change.running == {"server1": "new", "server2": "new", "server3": "old"}
    change.ask("config_confirm")
    change.run(15)

    assert change.running == everywhere("new")
    assert change.said("server3 goes to the new configuration after all")
    assert change.is_at_rest()


def test_coordinator_that_crashes_in_the_middle_leaves_one_configuration() -> None:
    change = Change(groups=("failover2",))
    change.apply(confirm_s=60.0)
    change.world.run_while(lambda: not change.said("switch", "trying"), change.world.now + 5)

    change.world.crash("server1")
    change.run(4 * MEET_S)
    change.world.power_on("server1")
    change.run(3 * MEET_S)

    assert change.running == everywhere("old")
    assert change.is_at_rest()
    assert change.world.violations == []


def test_change_is_refused_unless_every_server_is_here_and_has_it() -> None:
    change = Change()
    change.world.machines["server3"].keeping.stored = None
    change.world.crash("server3")
    change.run(5)

    change.apply()
    change.run(1)
    assert change.said("answer", "not_all_here", "server3")
    change.world.power_on("server3")
    change.run(10)
    change.apply()
    change.run(5)

    assert change.said("answer", "not_stored", "server3")
    assert change.running == everywhere("old")


def test_groups_cannot_be_moved_while_servers_are_frozen_and_can_afterwards() -> None:
    change = Change()
    change.apply()
    change.world.run_while(lambda: not change.world.machines["server1"].engine.membership.frozen, BEGIN_S + 5)

    change.ask("group_move", server="server1", target="failover1")
    change.run(0.01)
    refused = change.said("answer", "group_move", "applying")
    change.run(8)
    change.ask("group_move", server="server1", target="failover1")
    change.run(8)

    assert refused
    assert change.said("answer", "group_move", "code 0")


def test_server_that_boots_with_another_configuration_waits_and_says_so() -> None:
    change = Change(safe=False)
    change.world.crash("server3")
    change.run(5)
    change.world.machines["server3"].keeping.config = change.new
    change.world.power_on("server3")
    change.run(20)

    assert change.said("Server server3 has another clp.conf than")
    assert change.world.machines["server3"].engine.report.members == ()
    assert change.world.machines["server1"].engine.report.members == ("server1", "server2")
    assert all(len(change.world.online_on(group.name)) == 1 for group in change.first.groups)

    change.world.crash("server1")  # What it ran starts elsewhere although server3 is no member.
    change.run(10)
    assert change.world.online_on("failover1") == ["server2"]


def test_exchange_that_fails_on_one_server_brings_the_others_back() -> None:
    change = Change()
    change.world.machines["server2"].keeping.fails = 1

    change.apply(confirm_s=30.0)
    change.run(3 * MEET_S)

    assert change.running == everywhere("old")
    assert change.said("could not exchange its configuration", "the disk is full")
    assert change.is_at_rest()


@pytest.mark.slow
@pytest.mark.parametrize("safe", [True, False], ids=["safe", "unsafe"])
@pytest.mark.parametrize("servers", [2, 3])
def test_changes_amid_random_faults_end_with_one_configuration(servers: int, safe: bool) -> None:
    cluster = standard(servers, safe=safe)

    broken = [v for seed in range(SEEDS) for v in fuzz(cluster, seed, DEFAULTS, changes=True).violations]

    assert broken == []


def test_without_the_freeze_a_wrong_nic_would_start_groups_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Membership, "frozen", property(lambda self: False, lambda self, value: None), raising=False)
    monkeypatch.setattr(SwitchLead, "_freezing", lambda self, applying: self._set(replace(applying, phase="switching")))
    monkeypatch.setattr(Coordinator, "_frozen", lambda self: False)
    change = Change(safe=False, mute=True, servers=2)

    change.apply(confirm_s=30.0)
    change.run(2 * MEET_S)

    assert change.said("OVERLAP")


def test_without_the_start_rule_a_reboot_would_keep_what_nobody_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keeping, "boot", lambda self: None)
    change = Change()
    change.apply(confirm_s=15.0)
    change.run(4)

    for name in change.first.server_names:
        change.world.crash(name)
        change.world.power_on(name)
    change.run(60)

    assert change.running != everywhere("old")


def test_configurations_are_told_apart() -> None:
    cluster = standard(2, safe=True)

    assert name_of(cluster) == name_of(standard(2, safe=True)) != name_of(replace(cluster, comment="x"))
