"""Monitors on one server: confirm, restart, fail over, final action; counters; which run when."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster, Preaction
from agent.engine.core import Core
from agent.engine.effects import HaltServer, RunScript, StartMonitor, StopMonitor
from agent.engine.groups import LocalGroups
from agent.engine.recovery import Recovery
from agent.sim.standard import DEFAULTS, standard
from agent.wire.epoch import Epoch
from agent.wire.peer import MonitorWish, Order

GROUP, MONITOR = "failover1", "pidw1"


class Server:
    """Group failover1 is online, its monitor runs."""

    def __init__(self, **monitor: Any) -> None:
        rules = {k: monitor.pop(k) for k in list(monitor) if hasattr(Cluster(name=""), k)}
        cluster = replace(standard(3, safe=True), **rules)
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

    def finds(self, ok: bool = False, *, timed_out: bool = False) -> list[int]:
        """A result of the monitor; returns what is written about it."""
        before = self.core.note_seq
        self.recovery.result(MONITOR, ok, "" if ok else "it is gone", 1.0, False, timed_out=timed_out)
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
    assert server.finds() == []
    assert (server.monitor.restarts, server.monitor.failovers) == (2, 1)


def test_counters_begin_anew_when_the_monitor_stays_normal() -> None:
    server = Server(restart_threshold=1)
    server.finds()

    assert server.finds(ok=True) == [26]
    assert (server.monitor.restarts, server.monitor.state) == (1, "Normal")
    server.core.now += server.core.cluster.calm_s
    assert server.finds(ok=True) == []
    assert server.monitor.restarts == 0
    assert server.finds() == [9, 13]


def test_target_that_dies_soon_after_each_restart_comes_to_its_failover() -> None:
    server = Server(restart_threshold=1)
    server.finds()
    server.finds(ok=True)
    server.core.now += server.core.cluster.calm_s / 2
    server.finds(ok=True)

    assert server.finds() == [9, 14]


@pytest.mark.parametrize(
    ("action", "event", "how"),
    [(0, 193, None), (1, 193, None), (3, 15, None), (4, 16, "shutdown"), (5, 17, "reboot"), (8, 35, "panic"),
     (9, 35, "reset"), (15, 35, "reset")],
)  # fmt: skip
def test_final_action_has_its_message(action: int, event: int, how: str | None) -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=action)

    assert server.finds() == [9, event]
    assert [e.how for e in server.core.effects if isinstance(e, HaltServer)] == ([how] if how else [])
    assert bool(server.groups.final.stop_service) == (action == 3)


def test_final_action_stops_the_group_for_good() -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=2)

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


# Who recovers nothing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "event", "rule"),
    [
        ({"observe": True}, 190, "observe"),
        ({"ignore_monitor_errors": True}, 192, "errordetect"),
        ({"recovery_type": "", "recovery_name": "", "action": 5}, 193, "no-recovery-target"),
    ],
)
def test_error_is_shown_and_nothing_follows(rules: dict[str, Any], event: int, rule: str) -> None:
    server = Server(**rules)

    assert server.finds() == [9, event]
    assert server.finds() == []
    assert server.monitor.state == "Error"
    assert (server.monitor.restarts, server.group.state) == (0, "Online")
    assert [n.rule for n in server.core.notes if n.event == event] == [rule]
    assert server.finds(ok=True) == [26]
    assert server.finds() == [9, event]


def test_timeout_of_a_check_counts_as_the_monitor_says() -> None:
    strict = Server(retries=3, retry_timeout=False)
    mild = Server(recover_timeout=False)

    assert strict.finds(timed_out=True) == [9, 13]
    assert mild.finds(timed_out=True) == [9, 193]
    assert mild.finds(ok=True) == [26]
    assert mild.finds() == [9, 13]


def test_monitor_of_a_suspended_name_is_suspended_here_alone() -> None:
    server = Server()

    server.recovery.wish({MONITOR: MonitorWish(suspended=("server1",), cause="x")})
    server.finish()
    assert (server.monitor.state, server.recovery.local["pidw2"].state) == ("Suspend", "Offline")
    assert server.core.notes[-1].event == 29

    server.recovery.wish({})
    server.finish()
    assert server.monitor.running
    assert server.core.notes[-1].event == 30


def test_pretended_failure_is_recovered_like_a_real_one_and_ends_when_mended() -> None:
    server = Server(restart_threshold=1)

    server.recovery.wish({MONITOR: MonitorWish(failing=("server1",))})
    assert server.finds(ok=True) == [9, 13]
    server.recovery.wish({MONITOR: MonitorWish(failing=("server2",))})

    assert server.finds(ok=True) == [26]


# Scripts before a step ----------------------------------------------------------------------------------------------


def script(server: Server) -> RunScript:
    return [e for e in server.core.effects if isinstance(e, RunScript)][-1]


def test_script_runs_before_the_step_that_asks_for_it_and_the_step_waits() -> None:
    server = Server(restart_threshold=1, preaction=Preaction(path="x.sh", timeout_s=7, failover=True))

    assert server.finds() == [9, 13]
    assert server.finds() == [9, 169]
    assert server.group.wants == ""
    found = script(server)
    assert (found.monitor, found.step, found.group, found.path, found.timeout_s) == (
        MONITOR, "failover", GROUP, "x.sh", 7,
    )  # fmt: skip
    assert server.finds() == []  # no second step meanwhile

    server.recovery.script_done(found.token, True, "")
    assert server.group.wants == "failover"


def test_failed_script_does_not_keep_the_step_back() -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=2, preaction=Preaction(final=True))
    server.finds()

    server.recovery.script_done(script(server).token, False, "no such file")
    server.finish()

    assert [n.event for n in server.core.notes if n.kind == "monitor"][-2:] == [171, 12]
    assert server.group.state == "Offline"


def test_step_falls_away_when_the_monitor_is_normal_again_before_its_script_ends() -> None:
    server = Server(restart_threshold=1, preaction=Preaction(restart=True))
    server.finds()
    server.finds(ok=True)

    server.recovery.script_done(script(server).token, True, "")

    assert (server.group.state, server.monitor.restarts) == ("Online", 0)
    assert server.core.notes[-1].text == "No action: monitor pidw1 is normal again."


def test_script_whose_end_is_never_told_keeps_nothing_back_for_ever() -> None:
    server = Server(restart_threshold=1, preaction=Preaction(restart=True))
    server.finds()
    assert f"script {MONITOR}" in server.core.timers

    server.recovery.script_late(MONITOR)

    assert server.monitor.restarts == 1


def test_end_of_a_script_of_a_monitor_that_was_stopped_starts_nothing() -> None:
    server = Server(restart_threshold=1, preaction=Preaction(restart=True))
    server.finds()
    token = script(server).token
    server.groups.stop(GROUP, "GROUPSTOP")
    server.finish()

    server.recovery.script_done(token, True, "")

    assert server.group.state == "Offline"


def test_last_healthy_server_survives_the_final_action_of_a_monitor() -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=4, survive_monitor=True)
    server.groups.final.alone = lambda: True

    assert server.finds() == [9, 200]
    assert not any(isinstance(e, HaltServer) for e in server.core.effects)


def test_final_action_16_stops_the_resource_alone() -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=16)

    assert server.finds() == [9, 12]
    resources = server.group.resources
    assert (server.group.state, resources["fip1"].state, resources["exec1"].state) == ("Online", "Online", "Offline")
    assert server.monitor.state == "Offline"


@pytest.mark.parametrize(
    ("action", "how", "name"),
    [(9, "reset", "keepalive reset"), (10, "panic", "keepalive panic"), (11, "reset", "BMC reset"),
     (12, "reset", "BMC power off"), (13, "reset", "BMC power cycle"), (14, "reset", "BMC NMI"),
     (15, "reset", "I/O fencing")],
)  # fmt: skip
def test_hard_action_names_what_it_stands_for(action: int, how: str, name: str) -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=action)
    server.finds()

    (halt,) = [e for e in server.core.effects if isinstance(e, HaltServer)]
    assert halt.how == how
    assert halt.reason.endswith(f"(final action {action}, {name})")


def test_reboots_are_counted_and_have_a_limit_that_a_quiet_time_lifts() -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=5, max_reboots=2, max_reboots_s=100.0)

    def halts() -> int:
        server.monitor.finished = False
        server.finds(ok=True)
        server.finds()
        return sum(isinstance(e, HaltServer) for e in server.core.effects)

    assert [halts(), halts(), halts()] == [1, 2, 2]
    assert server.core.durable
    assert server.core.notes[-1].event == 100
    server.core.now += 101
    assert halts() == 3


def test_shutdown_has_no_limit() -> None:
    server = Server(restart_threshold=0, failover_threshold=0, action=4, max_reboots=1)
    server.groups.final.reboots = [0.0, 0.0]

    assert server.finds() == [9, 16]
