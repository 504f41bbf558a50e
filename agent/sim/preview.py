"""What an operation would do now, found by doing it: the real engine in simulated time, from the state shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

from msgspec.structs import replace

from agent.catalog import specs
from agent.clpconf.model import Cluster
from agent.sim.world import Defaults, World
from agent.wire.peer import Answer, Request
from agent.wire.report import Note

_LIMIT_S = 120.0
_OPERATIONS = get_args(get_type_hints(Request)["op"])
# Notes that an operator understands as a step; the others explain them.
_STEPS = {
    "rc": {10, 11, 12, 15, 17, 20, 21, 22, 25, 27, 50, 60, 63, 65, 66, 69, 74},
    "cp": {10, 15, 16, 17},
    "pm": {2},
    "apisv": {2, 4},
}


Ask = tuple[str, str, str]  # op, target, server


def preview(config: Cluster, status: Mapping[str, Any], op: str, target: str, server: str) -> dict[str, Any]:
    """Of one request; see preview_all."""
    return preview_all(config, status, [[(op, target, server)]])


def preview_all(config: Cluster, status: Mapping[str, Any], stages: Sequence[Sequence[Ask]]) -> dict[str, Any]:
    """`status` as of agent.wire.status; the asks of a stage are made at once, a stage begins when the one before has
    been answered. Returns {"steps": [{"at_s", "text", "kind", "name"}], "refusal": null or {"reason", "text"},
    "downtime_s": {group: seconds, null when it stays down}, "done": bool}.

    Times are those of the model: a tenth of a second for each script. Real scripts take what they take.
    """
    asks = [ask for stage in stages for ask in stage]
    if unknown := next((op for op, _target, _server in asks if op not in _OPERATIONS), ""):
        return _refusal("unknown_operation", f"There is no operation {unknown!r}; there are {', '.join(_OPERATIONS)}.")
    servers = _servers_on(config, status)
    if not servers and any(op != "server_start" for op, _target, _server in asks):
        return _refusal("no_server", "No server is online: nothing can be asked of the cluster.")
    world = _as_shown(config, status, servers)
    start = world.now
    answers: list[Answer | None] = []
    for stage in stages:
        answers += _play(world, start, len(answers), stage)
    world.run_until(world.now + 2 * world.cluster.timeout_s)
    notes = sorted((n for n in world.notes.values() if n.time >= start), key=lambda n: (n.time, n.id))
    refused = [answer for answer in answers if answer is not None and answer.code == 2]
    if refused and len(refused) == len(answers):
        return _refusal(refused[0].reason, refused[0].text)
    return {
        "steps": [_step(n, start) for n in notes if n.event in _STEPS.get(n.module, ())],
        "refusal": None,
        "downtime_s": _downtimes(config, world, notes, start),
        "done": all(answer is None or answer.code in (0, 1) for answer in answers),
    }


def _servers_on(config: Cluster, status: Mapping[str, Any]) -> list[str]:
    shown = status.get("servers", {})
    return [
        s for s in config.server_names if shown.get(s, {}).get("status") in ("Online", "Suspend", "Offline Pending")
    ]


def _asked(world: World, op: str, target: str) -> str:
    """A stopped server must be asked itself; else any that is on."""
    on = [n for n, m in world.machines.items() if m.on]
    return target if op.startswith("server_") and target in on else on[0]


def _as_shown(config: Cluster, status: Mapping[str, Any], servers: Sequence[str]) -> World:
    """The cluster as it is shown: these servers on, every group where it is now."""
    # A cluster that is started as a whole decides by its configuration; one that runs keeps what is stopped.
    groups = config.groups
    if servers:
        groups = tuple(replace(group, autostart=bool(_current(status, group.name))) for group in config.groups)
    # A faster pulse gives the same decisions and saves simulated beats.
    beat = {"interval_s": max(config.interval_s, 0.5), "timeout_s": max(config.timeout_s, 2.5)}
    world = World(replace(config, groups=groups, startup_wait_s=0.0, **beat), defaults=_defaults(), start=False)
    for name in servers:
        world.power_on(name)
    world.run_until(4 * world.cluster.timeout_s)
    for group in groups:
        current = _current(status, group.name)
        if current and world.active_on(group.name) != [current]:
            request = Request(id=f"place {group.name}", op="group_move", target=group.name, server=current)
            world.ask(servers[0], request)
    world.run_until(world.now + 4 * world.cluster.timeout_s)
    if status.get("cluster", {}).get("suspended"):
        world.ask(servers[0], Request(id="suspend", op="cluster_suspend"))
        world.run_until(world.now + world.cluster.timeout_s)
    return world


def _current(status: Mapping[str, Any], group: str) -> str:
    return str(status.get("groups", {}).get(group, {}).get("current") or "")


def _defaults() -> Defaults:
    return {name: spec.depends_on for name, spec in specs().items()}


def _play(world: World, start: float, number: int, stage: Sequence[Ask]) -> list[Answer | None]:
    """Until everything that was asked is answered; a server that is started has no answer but being there."""
    names: list[str] = []
    for op, target, server in stage:
        if op == "server_start" and not world.machines[target].on:
            world.power_on(target)
            continue
        names.append(f"preview {number + len(names)}")
        request = Request(id=names[-1], op=op, target=target, server=server, by="preview")  # type: ignore[arg-type]
        world.ask(_asked(world, op, target), request)

    def answers() -> list[Answer | None]:
        ends = {a.id: a for m in world.machines.values() for a in m.answers if a.code != 1}
        return [ends.get(name) for name in names]

    world.run_while(lambda: None in answers(), start + _LIMIT_S)
    if len(names) < len(stage):
        world.run_until(world.now + 4 * world.cluster.timeout_s)
    return answers()


def _step(note: Note, start: float) -> dict[str, Any]:
    return {"at_s": round(note.time - start, 2), "text": note.text, "kind": note.kind, "name": note.name}


def _downtimes(config: Cluster, world: World, notes: list[Note], start: float) -> dict[str, float | None]:
    """Seconds from the first stop of a group until it is online again; groups that are not touched are left out."""
    result: dict[str, float | None] = {}
    for group in config.groups:
        own = [n for n in notes if n.kind == "group" and n.name == group.name and n.after]
        stopped = next((n.time for n in own if n.before == "Online"), None)
        if stopped is None:
            continue
        online = [n.time for n in own if n.after == "Online" and n.time > stopped]
        result[group.name] = round(online[-1] - stopped, 2) if online and world.online_on(group.name) else None
    return result


def _refusal(reason: str, text: str) -> dict[str, Any]:
    return {"steps": [], "refusal": {"reason": reason, "text": text}, "downtime_s": {}, "done": False}
