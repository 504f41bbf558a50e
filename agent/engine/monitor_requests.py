"""What operators ask of single monitors: suspend and resume, pretend a failure and mend it.

The wish stands in the table, so that it outlives a coordinator and a restart; each server follows its own copy. It is
done when every server that runs the monitor has that table.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from agent.engine.coordinator import Coordinator
from agent.wire.peer import Answer, MonitorWish, Request

Refuse = Callable[[Request, str, str], None]
Wait = Callable[[Request, str, Callable[[], bool], Callable[[], str]], None]
_FIELD = {"monitor_suspend": "suspended", "monitor_resume": "suspended", "monitor_fail": "failing",
          "monitor_mend": "failing"}  # fmt: skip
_ON = ("monitor_suspend", "monitor_fail")


class MonitorRequests:
    def __init__(
        self,
        coordinator: Coordinator,
        *,
        refuse: Refuse,
        answer: Callable[[Request, Answer], None],
        log: Callable[..., str],
        wait: Wait,
    ) -> None:
        self.coordinator = coordinator
        self._refuse = refuse
        self._answer = answer
        self._log = log
        self._wait = wait
        cluster = coordinator.core.cluster
        self._servers = {m.name: tuple(s for s in cluster.server_names if m.runs_on(s)) for m in cluster.monitors}

    def carry_out(self, request: Request) -> None:
        runs_on = self._servers.get(request.target)
        if runs_on is None:
            known = ", ".join(self._servers) or "none"
            self._refuse(request, "unknown_monitor", f'There is no monitor "{request.target}"; there are: {known}.')
        elif request.server and request.server not in self.coordinator.core.index:
            known = ", ".join(self.coordinator.core.index)
            self._refuse(request, "unknown_server", f'There is no server "{request.server}"; the servers are {known}.')
        elif request.server and request.server not in runs_on:
            text = f"{request.target} does not run on {request.server}, but on {', '.join(runs_on)}."
            self._refuse(request, "not_there", text)
        else:
            self._change(request, (request.server,) if request.server else runs_on)

    def _change(self, request: Request, servers: tuple[str, ...]) -> None:
        table, field = self.coordinator.table, _FIELD[request.op]
        wish = table.monitors.get(request.target, MonitorWish())
        now = set(getattr(wish, field))
        wanted = now | set(servers) if request.op in _ON else now - set(servers)
        note = self._log(request)
        if wanted != now:
            new = replace(wish, **{field: tuple(sorted(wanted))}, cause=note)
            kept = {n: w for n, w in {**table.monitors, request.target: new}.items() if w.suspended or w.failing}
            self.coordinator.change(monitors=kept)
        self._wait(request, note, lambda: self._known(servers), lambda: "")

    def _known(self, servers: tuple[str, ...]) -> bool:
        """Do the members among these servers have the table as it is now?"""
        plan = self.coordinator
        others = [s for s in servers if s in plan.membership.view.members and s != plan.core.me]
        reports = [plan.reports.of(s) for s in others]
        return not plan.dirty and all(r is not None and r.table >= plan.table.version for r in reports)
