"""Monitors on one server: confirm, restart, fail over, final action; counters; which run when."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.engine.core import Core
from agent.engine.effects import HaltServer, StartMonitor, StopMonitor
from agent.engine.groups import LocalGroups
from agent.engine.recovery import Recovery
from agent.sim.standard import DEFAULTS, standard
from agent.wire.epoch import Epoch
from agent.wire.peer import Order

GROUP, MONITOR = "failover1", "pidw1"


class Server:
    """Group failover1 is online, its monitor runs."""

    def __init__(self, **monitor: Any) -> None:
        cluster = standard(3, safe=True)
        changed = tuple(replace(m, **monitor) if m.name == MONITOR else m for m in cluster.monitors)
        self.core = Core(replace(cluster, monitors=changed), "server1", 1, 0)
        self.groups = LocalGroups(self.core, DEFAULTS)
        self.recovery = Recovery(self.core, self.groups)
        self.groups.obey(Order(epoch=Epoch(1, 0), serial=1, group=GROUP, action="start", why="START"))
        self.finish()

    def finish(self) -> None:
        """All actions end well; then the monitors are aligned, as after each step of the engine."""
        while self.groups.actions:
            self.groups.action_done(next(iter(self.groups.actions)), True, "")
        self.recovery.align(in_service=True)

    def finds(self, ok: bool = False) -> list[int]:
        """A result of the monitor; returns what is written about it."""
        before = self.core.note_seq
        self.recovery.result(MONITOR, ok, "" if ok else "it is gone", 1.0, False)
        notes = [n for n in self.core.notes if int(n.id.rpartition(":")[2]) > before and n.kind == "monitor"]
        self.finish()
        return [n.event for n in notes]

    @property
    def monitor(self) -> Any:
        return self.recovery.local[MONITOR]

    @property
    def group(self) -> Any:
        return self.groups.local[GROUP]


def test_monitor_runs_while_its_target_is_online() -> None:
    server = Server()
    assert StartMonitor(monitor=MONITOR) in server.core.effects
    assert server.recovery.reports()["pidw2"].state == "Offline"

    server.groups.stop(GROUP, "GROUPSTOP")
    server.finish()

    assert server.core.effects[-1] == StopMonitor(monitor=MONITOR)
    assert server.monitor.state == "Offline"


def test_reconfirmations_are_forgiven_and_a_normal_result_begins_anew() -> None:
    server = Server(retries=2)

    assert [server.finds(), server.finds()] == [[], []]
    assert (server.monitor.state, server.monitor.detail) == ("Caution", "it is gone (2 of 3)")
    assert server.finds(ok=True) == []
    assert [server.finds(), server.finds(), server.finds()] == [[], [], [9, 13]]


def test_restarts_then_failover_then_final_action_once() -> None:
    server = Server(restart_threshold=2, failover_threshold=1, action=1)

    assert [server.finds(), server.finds()] == [[9, 13], [9, 13]]
    assert server.finds() == [9, 14]
    assert server.group.wants == "failover"
    assert server.finds() == [9, 193]
    assert server.finds() == [9]
    assert (server.monitor.restarts, server.monitor.failovers) == (2, 1)


def test_normal_result_clears_the_counters_and_says_so() -> None:
    server = Server(restart_threshold=1)
    server.finds()

    assert server.finds(ok=True) == [26]
    assert (server.monitor.restarts, server.monitor.state) == (0, "Normal")
    assert server.finds() == [9, 13]


@pytest.mark.parametrize(
    ("action", "event", "how"),
    [(0, 193, None), (1, 193, None), (3, 15, None), (4, 16, "shutdown"), (5, 17, "reboot"), (8, 35, "panic"),
     (9, 35, "reset"), (15, 35, "reset")],
)  # fmt: skip
def test_final_action_has_its_message(action: int, event: int, how: str | None) -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=action)

    assert server.finds() == [9, event]
    assert [e.how for e in server.core.effects if isinstance(e, HaltServer)] == ([how] if how else [])
    assert bool(server.groups.stop_service) == (action == 3)


@pytest.mark.parametrize("action", [2, 16])
def test_final_action_stops_the_group_for_good(action: int) -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=action)

    assert server.finds() == [9, 12]
    assert (server.group.state, server.group.failed_serial) == ("Offline", server.group.start_serial)


def test_final_action_that_stops_a_group_is_none_for_a_whole_server() -> None:
    server = Server(recovery_type="cls", recovery_name="LocalServer", action=2)

    assert server.finds() == [9, 193]
    assert server.group.state == "Online"


def test_error_while_the_group_is_on_its_way_recovers_nothing() -> None:
    server = Server(timing="always")
    server.groups.restart(GROUP, "exec1", "")
    server.recovery.result(MONITOR, False, "it is gone", 1.0, False)

    assert [n.event for n in server.core.notes if n.kind == "monitor"][-1] == 25
    assert server.monitor.restarts == 0


def test_late_result_of_a_stopped_monitor_counts_nothing() -> None:
    server = Server()
    server.groups.stop(GROUP, "GROUPSTOP")
    server.finish()

    assert server.finds() == []


def test_suspended_cluster_runs_no_monitor() -> None:
    server = Server()

    server.recovery.suspend(True)
    server.finish()
    assert (server.monitor.state, server.monitor.running) == ("Suspend", False)

    server.recovery.suspend(False)
    server.finish()
    assert (server.monitor.state, server.monitor.running) == ("Unknown", True)
