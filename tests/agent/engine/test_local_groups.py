"""Groups on one server: order of resources, retry, abort, final actions, adoption by a new daemon."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Activation, Cluster
from agent.engine.core import Core
from agent.engine.effects import Abort, Activate, Deactivate, HaltServer
from agent.engine.groups import LocalGroups
from agent.sim.standard import DEFAULTS, standard
from agent.wire.epoch import Epoch
from agent.wire.peer import Order

NAME = "failover1"


class Server:
    """One server's groups, driven by hand."""

    def __init__(self, **activation: Any) -> None:
        rules = {k: activation.pop(k) for k in list(activation) if hasattr(Cluster(name=""), k)}
        self.cluster = replace(_with(standard(3, safe=True), activation), **rules)
        self.core = Core(self.cluster, "server1", 1, 0)
        self.groups = LocalGroups(self.core, DEFAULTS)
        self.serial = 0

    def order(self, action: Any, why: str = "START") -> None:
        self.serial += 1
        self.groups.obey(Order(epoch=Epoch(1, 0), serial=self.serial, group=NAME, action=action, why=why, cause="c"))

    def asked(self) -> list[Any]:
        """Effects since the last look, without notes."""
        effects, self.core.effects = self.core.effects, []
        return [e for e in effects if isinstance(e, Activate | Deactivate | Abort | HaltServer)]

    def done(self, ok: bool = True, *, stalled: bool = False) -> None:
        """The running action ends, and the pause before a retry."""
        (token,) = self.groups.actions
        self.groups.action_done(token, ok, "" if ok else "it broke", stalled=stalled)
        self.core.now += 2.0
        self.groups.due()

    @property
    def state(self) -> str:
        return self.groups.local[NAME].state

    def states(self) -> tuple[str, str]:
        resources = self.groups.local[NAME].resources
        return resources["fip1"].state, resources["exec1"].state

    def events(self) -> list[int]:
        return [note.event for note in self.core.notes if note.kind == "group"]


def _with(cluster: Cluster, activation: dict[str, Any]) -> Cluster:
    plan = {"timeout_s": 30.0, "retry": 1, "failover": 1, "action": 1}
    up = Activation(**{**plan, **{k: v for k, v in activation.items() if not k.startswith("stop_")}})
    down = Activation(timeout_s=20.0, retry=activation.get("stop_retry", 0), action=activation.get("stop_action", 4))
    resources = tuple(replace(r, activation=up, deactivation=down) for r in cluster.resources)
    return replace(cluster, resources=resources)


def started(**activation: Any) -> Server:
    server = Server(**activation)
    server.order("start")
    server.done()
    server.done()
    assert server.state == "Online"
    server.asked()
    return server


def test_resources_go_up_in_order_and_down_in_reverse() -> None:
    server = Server()

    server.order("start")
    assert [(type(e), e.resource, e.event, e.timeout_s) for e in server.asked()] == [(Activate, "fip1", "START", 30.0)]
    server.done()
    assert [e.resource for e in server.asked()] == ["exec1"]
    server.done()
    assert server.state == "Online"

    server.order("stop", "GROUPMOVE")
    assert [(type(e), e.resource, e.factor) for e in server.asked()] == [(Deactivate, "exec1", "GROUPMOVE")]
    server.done()
    server.done()
    assert server.state == "Offline"
    assert server.events() == [10, 11, 20, 21]


def test_repeated_and_old_orders_are_ignored() -> None:
    server = started()

    server.serial -= 1
    server.order("stop")

    assert server.state == "Online"
    assert server.asked() == []


def test_failed_activation_is_tried_again_and_counts_each_attempt() -> None:
    server = Server(retry=2)
    server.order("start")

    server.done(ok=False)
    server.done(ok=False)
    server.done()

    assert [e.attempt for e in server.asked()] == [1, 2, 3, 1]
    assert server.states()[0] == "Online"


def test_activation_that_failed_for_good_asks_for_another_server_and_stays_until_ordered() -> None:
    server = Server(retry=1, failover=1)
    server.order("start")
    server.done()
    server.done(ok=False)
    server.done(ok=False)
    server.asked()

    group = server.groups.local[NAME]
    assert (server.state, group.wants, group.failed_serial) == ("Online Failure", "failover", 1)
    assert group.detail == "exec1: it broke"

    server.order("stop", "GROUPFAILOVER")
    assert [(type(e), e.resource) for e in server.asked()] == [(Deactivate, "exec1")]  # what failed half way, first
    server.done()
    server.done()
    assert server.state == "Offline"


def test_stop_aborts_a_running_activation_and_takes_it_down() -> None:
    server = Server()
    server.order("start")
    (up,) = server.asked()

    server.order("stop")
    assert server.asked() == [Abort(token=up.token)]
    server.groups.action_done(up.token, False, "aborted")

    assert [(type(e), e.resource) for e in server.asked()] == [(Deactivate, "fip1")]
    server.done()
    assert server.state == "Offline"


def test_activation_that_ends_well_in_spite_of_the_abort_is_taken_down_as_well() -> None:
    server = Server()
    server.order("start")
    server.order("stop")

    server.done(ok=True)
    server.done()

    assert server.state == "Offline"
    assert server.states() == ("Offline", "Offline")


def test_result_of_an_unknown_action_changes_nothing() -> None:
    server = started()

    server.groups.action_done(999, False, "late")

    assert server.state == "Online"


def test_final_action_0_goes_on_as_if_it_had_started() -> None:
    server = Server(retry=0, failover=0, action=0)
    server.order("start")

    server.done(ok=False)
    server.done()

    assert server.state == "Online"


def test_final_action_2_stops_the_group_for_good() -> None:
    server = Server(retry=0, failover=1, action=2)
    server.order("start")
    server.done()
    server.done(ok=False)
    server.order("give_up", "")
    server.done()
    server.done()

    group = server.groups.local[NAME]
    assert (server.state, group.failed_serial == group.start_serial) == ("Offline", True)


def test_final_action_3_asks_for_a_stop_of_the_service() -> None:
    server = Server(retry=0, failover=0, action=3)
    server.order("start")

    server.done(ok=False)

    assert server.groups.final.stop_service


def test_failed_deactivation_brings_the_server_down_and_keeps_the_group_here() -> None:
    server = started(stop_action=4, stop_retry=1)

    server.order("stop")
    server.done(ok=False)
    server.done(ok=False)

    assert [type(e) for e in server.asked()] == [Deactivate, Deactivate, HaltServer]
    assert server.state == "Offline Failure"
    assert server.groups.holding()


def test_failed_deactivation_with_action_1_waits_for_another_stop() -> None:
    server = started(stop_action=1)
    server.order("stop")
    server.done(ok=False)
    assert (server.state, [type(e) for e in server.asked()]) == ("Offline Failure", [Deactivate])

    server.order("stop")
    server.done()
    server.done()

    assert server.state == "Offline"


def test_restart_takes_down_only_what_rests_on_the_resource() -> None:
    server = started()

    server.groups.restart(NAME, "exec1", "because")
    assert [(type(e), e.resource) for e in server.asked()] == [(Deactivate, "exec1")]
    server.done()
    server.done()

    assert server.state == "Online"
    assert server.states() == ("Online", "Online")


def test_restart_of_the_lower_resource_takes_all_above_it_down_first() -> None:
    server = started()

    server.groups.restart(NAME, "fip1", "because")
    for _ in range(4):
        server.done()

    assert [(type(e), e.resource) for e in server.asked()] == [
        (Deactivate, "exec1"), (Deactivate, "fip1"), (Activate, "fip1"), (Activate, "exec1"),
    ]  # fmt: skip
    assert server.state == "Online"


def test_operator_starts_a_failed_group_again_in_place() -> None:
    server = Server(retry=0, failover=0, action=1)
    server.order("start")
    server.done()
    server.done(ok=False)
    assert server.state == "Online Failure"
    server.asked()

    server.order("start")
    server.done()
    server.done()

    assert [(type(e), e.resource) for e in server.asked()] == [(Deactivate, "exec1"), (Activate, "exec1")]
    assert server.state == "Online"


def test_new_daemon_adopts_what_runs_and_restarts_what_does_not() -> None:
    old = started()
    both, one = Server(), Server()

    both.groups.adopt(old.groups.saved(), {"fip1": True, "exec1": True})
    one.groups.adopt(old.groups.saved(), {"fip1": True, "exec1": False})

    assert (both.state, both.asked()) == ("Online", [])
    assert one.state == "Online Pending"
    assert [(type(e), e.resource) for e in one.asked()] == [(Activate, "exec1")]


def test_new_daemon_begins_a_running_action_again() -> None:
    old, new = Server(), Server()
    old.order("start")

    new.groups.adopt(old.groups.saved(), {})

    assert [(type(e), e.resource) for e in new.asked()] == [(Activate, "fip1")]
    new.done()
    new.done()
    assert new.state == "Online"


# Retries, stalls, and what is left out ------------------------------------------------------------------------------


def test_retry_pauses_longer_each_time_within_the_time_of_the_next_attempt() -> None:
    server = Server(retry=6, timeout_s=30.0)
    server.order("start")
    pauses, timeouts = [], []

    for _ in range(6):
        (token,) = server.groups.actions
        began = server.core.now
        server.groups.action_done(token, False, "it broke")
        assert not server.groups.actions
        server.core.now = server.core.timers["retry fip1"]
        server.groups.due()
        pauses.append(server.core.now - began)
        timeouts.append(server.asked()[-1].timeout_s)

    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0])
    assert timeouts == pytest.approx([30 - pause for pause in pauses])


def test_stop_in_the_pause_before_a_retry_takes_the_group_down_at_once() -> None:
    server = Server(retry=1)
    server.order("start")
    (token,) = server.groups.actions
    server.groups.action_done(token, False, "it broke")
    server.asked()

    server.order("stop")
    assert [(type(e), e.resource) for e in server.asked()] == [(Deactivate, "fip1")]
    server.done()

    assert server.state == "Offline"
    assert server.asked() == []


def test_new_daemon_goes_on_after_the_pause_before_a_retry() -> None:
    old, new = Server(retry=1), Server(retry=1)
    old.order("start")
    (token,) = old.groups.actions
    old.groups.action_done(token, False, "it broke")

    new.groups.adopt(old.groups.saved(), {})

    assert [(type(e), e.resource) for e in new.asked()] == [(Activate, "fip1")]


@pytest.mark.parametrize(("action", "how"), [(4, "shutdown"), (5, "reboot"), (8, "panic"), (12, "reset")])
def test_stalled_step_brings_the_server_down_as_configured(action: int, how: str) -> None:
    server = Server(retry=5, stalled_action=action)
    server.order("start")

    server.done(ok=False, stalled=True)

    assert [e.how for e in server.asked() if isinstance(e, HaltServer)] == [how]
    assert (server.state, server.groups.local[NAME].halts) == ("Online Failure", True)


def test_stalled_stop_keeps_the_group_here() -> None:
    server = started(stop_retry=3)
    server.order("stop")

    server.done(ok=False, stalled=True)

    assert [type(e) for e in server.asked()] == [Deactivate, HaltServer]
    assert server.state == "Offline Failure"


def test_stall_is_an_error_like_others_where_that_is_configured() -> None:
    server = Server(retry=1, stalled_action=0)
    server.order("start")

    server.done(ok=False, stalled=True)

    assert [e.attempt for e in server.asked()] == [1, 2]


def test_activation_error_is_only_shown_where_recovery_is_switched_off() -> None:
    server = Server(retry=0, failover=1, action=5, ignore_activation_errors=True)
    server.order("start")

    server.done(ok=False)

    assert (server.state, server.groups.local[NAME].wants) == ("Online Failure", "")
    assert not any(isinstance(e, HaltServer) for e in server.asked())
    assert ("rc", 512) in [(n.module, n.event) for n in server.core.notes]


def test_deactivation_error_is_only_shown_where_recovery_is_switched_off() -> None:
    server = started(stop_action=5, ignore_deactivation_errors=True)
    server.order("stop")

    server.done(ok=False)

    assert [type(e) for e in server.asked()] == [Deactivate]
    assert server.core.notes[-1].event == 513


@pytest.mark.parametrize("kind", ["activation", "deactivation"])
def test_last_healthy_server_survives_its_final_action(kind: str) -> None:
    rule = {f"survive_{kind}": True}
    server = Server(retry=0, failover=0, action=5, **rule) if kind == "activation" else started(stop_action=5, **rule)
    server.groups.final.alone = lambda: True
    server.order("start" if kind == "activation" else "stop")
    server.done(ok=False)

    assert not any(isinstance(e, HaltServer) for e in server.asked())
    assert server.core.notes[-1].event == (500 if kind == "activation" else 501)
    assert not server.groups.local[NAME].halts


def test_survive_rule_means_nothing_while_others_are_healthy() -> None:
    server = Server(retry=0, failover=0, action=5, survive_activation=True)
    server.order("start")

    server.done(ok=False)

    assert [e.how for e in server.asked() if isinstance(e, HaltServer)] == ["reboot"]


def test_one_resource_is_stopped_with_all_that_rests_on_it_and_the_group_goes_on() -> None:
    server = started()

    server.groups.stop_resource(NAME, "exec1", "because")
    server.done()

    assert (server.state, server.states()) == ("Online", ("Online", "Offline"))
    server.groups.restart(NAME, "fip1", "because")
    server.done()
    server.done()
    assert (server.state, server.states()) == ("Online", ("Online", "Offline"))
    server.groups.restart(NAME, "", "because")
    for _ in range(3):
        server.done()
    assert (server.state, server.states()) == ("Online", ("Online", "Online"))
