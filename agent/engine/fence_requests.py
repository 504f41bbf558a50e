"""What operators ask of fencing: test a device, force a server off, say that one is off, arm and disarm.

Tests and shots by hand are carried out by the server that was asked, whatever its view: each server has to reach the
devices itself. The rest changes what the cluster does and goes to the coordinator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.clpconf.model import FenceDevice
from agent.engine.core import Core
from agent.engine.effects import Fence
from agent.engine.events import FenceDone
from agent.engine.fencing import RULE, Fencing, levels_against
from agent.wire.peer import Answer, Request

if TYPE_CHECKING:
    from agent.engine.coordinator import Coordinator

LOCAL_OPS = ("fence_test", "fence_off")


class _Job(msgspec.Struct):
    """A request under way. `steps` are tried one after the other; for a test that is one step with all shots."""

    request: Request
    note: str
    action: Literal["off", "status"]
    steps: list[list[tuple[FenceDevice, str]]]
    begun: float
    running: dict[int, tuple[FenceDevice, str]] = {}
    failed: bool = False  # in this step
    lines: list[str] = []


class LocalFenceRequests:
    """fence_test and fence_off."""

    def __init__(self, core: Core, fencing: Fencing) -> None:
        self.core = core
        self.fencing = fencing
        self._jobs: list[_Job] = []

    def asked(self, request: Request) -> None:
        if any(job.request.id == request.id for job in self._jobs):
            return
        steps, why = self._steps(request)
        if why:
            self.core.reply(Answer(id=request.id, code=2, reason="no_device", text=why))
            return
        what = f"{request.op.replace('_', ' ')} {request.target}"
        note = self.core.note("apisv", 1, "request", request.target, request.by or "somebody", what, rule="operator")
        action: Literal["off", "status"] = "off" if request.op == "fence_off" else "status"
        job = _Job(request=request, note=note, action=action, steps=steps, begun=self.core.now)
        self._jobs.append(job)
        self._next(job)

    def _steps(self, request: Request) -> tuple[list[list[tuple[FenceDevice, str]]], str]:
        cluster, target = self.core.cluster, request.target
        if target in self.core.index:
            levels = levels_against(cluster, target)
            if not levels:
                return [], f"No fence device has {target} as its target; add one to clp.conf (/root/openclp/fence)."
            if request.op == "fence_test":
                return [[(device, target) for level in levels for device in level]], ""
            if target == self.core.me:
                return [], f"{target} cannot force itself off; ask another server, or use clpdown."
            return [[(device, target) for device in level] for level in levels], ""
        devices = {device.name: device for device in cluster.fences}
        if request.op == "fence_test" and target in devices:
            targets = tuple(devices[target].overrides) or cluster.server_names
            return [[(devices[target], server) for server in targets]], ""
        known = ", ".join([*cluster.server_names, *devices])
        return [], f'There is no server or fence device "{target}"; there are {known}.'

    def _next(self, job: _Job) -> None:
        """Shots of one step: for a test all at once, else one by one."""
        step = job.steps[0]
        count = len(step) if job.action == "status" else 1
        for device, server in step[:count]:
            token = self.core.next_token()
            job.running[token] = (device, server)
            if job.action == "off":
                self.core.note("rc", 400, "server", server, server, device.name, str(device.level), rule=RULE,
                               causes=(job.note,))  # fmt: skip
            self.core.emit(Fence(token=token, server=server, device=device.name, action=job.action))
        del step[:count]

    def done(self, event: FenceDone) -> str:
        """Returns the note, "" when it is not ours."""
        job = next((job for job in self._jobs if event.token in job.running), None)
        if job is None:
            return ""
        device, server = job.running.pop(event.token)
        note = self._note(job, device.name, server, event)
        self.fencing.record(device.name, ok=event.ok, detail=event.detail)
        said = event.detail or ("off" if job.action == "off" else "it answers")
        job.lines.append(f"{device.name} for {server}: {said if event.ok else f'FAILED, {said}'}")
        job.failed = job.failed or not event.ok
        if not job.running:
            self._step_over(job, server, note)
        return note

    def _note(self, job: _Job, device: str, server: str, event: FenceDone) -> str:
        if job.action == "status":
            return self.core.note("rc", 410 if event.ok else 411, "server", server, device, server, event.detail,
                                  rule=RULE, causes=(job.note,))  # fmt: skip
        params = (server, device) if event.ok else (server, device, event.detail)
        return self.core.note("rc", 401 if event.ok else 402, "server", server, *params, rule=RULE, causes=(job.note,))

    def _step_over(self, job: _Job, server: str, note: str) -> None:
        if job.steps[0] and not job.failed:
            self._next(job)
            return
        if job.failed and len(job.steps) > 1:
            del job.steps[0]
            job.failed, job.begun = False, self.core.now
            self._next(job)
            return
        self._jobs.remove(job)
        if job.action == "off" and not job.failed:
            self.fencing.proved(server, job.begun, note)
        code = 3 if job.failed else 0
        reason = "failed" if job.failed else ""
        self.core.reply(Answer(id=job.request.id, code=code, reason=reason, text="; ".join(job.lines) + "."))


class FenceRequests:
    """fence_confirm, fence_arm and fence_disarm, on the coordinator. The callables are those of Operations."""

    def __init__(
        self,
        coordinator: Coordinator,
        *,
        refuse: Callable[[Request, str, str], None],
        answer: Callable[[Request, Answer], None],
        log: Callable[[Request], str],
        wait: Callable[[Request, str, Callable[[], bool], Callable[[], str]], None],
    ) -> None:
        self.coordinator = coordinator
        self.membership = coordinator.membership
        self._refuse = refuse
        self._answer = answer
        self._log = log
        self._wait = wait

    def carry_out(self, request: Request) -> None:
        if request.op == "fence_confirm":
            self._confirm(request)
        else:
            self._arm(request, armed=request.op == "fence_arm")

    def _confirm(self, request: Request) -> None:
        server, membership = request.target, self.membership
        if server not in self.coordinator.core.index:
            names = ", ".join(self.coordinator.core.index)
            self._refuse(request, "unknown_server", f'There is no server "{server}"; the servers are {names}.')
        elif server in membership.view.members or membership.peers[server].alive:
            self._refuse(request, "not_off", f"{server} is heard: it is not off.")
        else:
            self.coordinator.fencing.vouch(server, self._log(request))
            self._answer(request, Answer(id=request.id, code=0, text=f"{server} counts as off until it is heard."))

    def _arm(self, request: Request, *, armed: bool) -> None:
        note = self._log(request)
        self.coordinator.change(disarmed=not armed)
        members = self.membership.view.members
        reports = self.coordinator.reports

        def done() -> bool:
            """Disarmed is only what every server itself has reported to be released."""
            for member in members:
                report = reports.of(member)
                if report is None or report.armed != armed or (not armed and report.watchdog == "armed"):
                    return False
            return True

        def failed() -> str:
            left = set(members) - set(self.membership.view.members)
            return f"{', '.join(sorted(left))} left the cluster before it answered; ask again." if left else ""

        self._wait(request, note, done, failed)
