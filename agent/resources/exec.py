"""exec: a start script and a stop script, or a program that runs as long as its group is active."""

from __future__ import annotations

import os

from agent.clpconf.schema import BOOLEAN, PATH, SCRIPT, Param, TypeSpec, Values, integer, seconds
from agent.ports import DriverError, Exit, Ports, Run
from agent.resources import ResourceType
from agent.version import VERSION

_UNLIMITED_LOG_BYTES = 16_000_000  # Without rotation a log still may not fill the disk.
_GRACE_S = 10.0  # from SIGTERM to SIGKILL of what an asynchronous start script left
_SHOWN_CHARACTERS = 200

_OTHERS = tuple(
    Param(path, label, kind, default=default, unit=unit, section="Scripts on other servers", advanced=True,
          help="Kept as it is; it has no effect in this version.", source="clp-conf-format 7")
    for path, label, kind, default, unit in (
        ("parameters/act/postrunothers", "After the start, on the other servers", BOOLEAN, False, ""),
        ("parameters/deact/prerunothers", "Before the stop, on the other servers", BOOLEAN, False, ""),
        ("parameters/timeout/startothers", "Timeout after the start", seconds(1, 9999), None, "s"),
        ("parameters/timeout/stopothers", "Timeout before the stop", seconds(1, 9999), None, "s"),
    )
)  # fmt: skip

SPEC = TypeSpec(
    "exec",
    "Execute resource",
    params=(
        Param("parameters/act/path", "Start script", SCRIPT, default="start.sh"),
        Param("parameters/deact/path", "Stop script", SCRIPT, default="stop.sh"),
        Param(
            "parameters/act/sync", "Wait for the start script", BOOLEAN, default=True,
            help="0: the script is the program and stays; monitor it by a PID monitor.",
        ),
        Param("parameters/deact/sync", "Wait for the stop script", BOOLEAN, default=True),
        Param("parameters/timeout/start", "Start timeout", seconds(1, 9999), default=1800, unit="s"),
        Param("parameters/timeout/stop", "Stop timeout", seconds(1, 9999), default=1800, unit="s"),
        Param("parameters/userlog", "Log of the scripts' output", PATH, default=""),
        Param("parameters/logrotate/use", "Rotate the log", BOOLEAN, default=False),
        Param(
            "parameters/logrotate/size", "Size at which the log is rotated", integer(1, 999999999), default=1_000_000,
            unit="bytes",
        ),
        *_OTHERS,
    ),
    # What a program stands on: its address and its data.
    depends_on=(
        "fip", "vip", "ddns", "disk", "md", "hd", "nas", "volmgr", "raw", "vxdg", "vxvol",
        "awsvip", "awseip", "awsdns", "azurepp", "azuredns",
    ),
    activation_timeout_s=1980,
    deactivation_timeout_s=1980,
    help="Starts and stops an application.",
    family="Applications",
)  # fmt: skip


async def activate(values: Values, ports: Ports) -> None:
    # stop.sh has to know how the group came here, and is asked when nobody else knows any more.
    ports.remember("event", ports.event)
    if values["parameters/deact/sync"]:
        # Of a daemon that died while it stopped the group: its result is not that of the next stop.
        await ports.processes.stop(_stop_key(ports.place.name), _GRACE_S)
    if values["parameters/act/sync"]:
        await _finish(_run(values, ports, "start"), ports)
    elif not await ports.processes.alive(_start_key(ports.place.name)):
        await ports.processes.start(_run(values, ports, "start"))
    ports.remember("active", "1")


async def deactivate(values: Values, ports: Ports) -> None:
    if values["parameters/act/sync"]:
        # In flight only after a daemon died while it started the group: two scripts must not work against each other.
        await ports.processes.stop(_start_key(ports.place.name), _GRACE_S)
    try:
        if values["parameters/deact/sync"]:
            await _finish(_run(values, ports, "stop"), ports)
        else:
            await ports.processes.start(_run(values, ports, "stop"))
    finally:
        # Whatever the stop script did: nothing of this group may go on here.
        await ports.processes.stop(_start_key(ports.place.name), _GRACE_S)
    ports.remember("active", "")


async def active(values: Values, ports: Ports) -> bool:
    """What was remembered counts: a script may rightly end; where it may not, a PID monitor tells."""
    if not values["parameters/act/sync"]:
        await ports.processes.alive(_start_key(ports.place.name))  # So that its log is looked after again.
    return ports.recall("active") == "1"


def _start_key(resource: str) -> str:
    """The PID monitor builds the same name: types do not import each other."""
    return f"{resource}.start"


def _stop_key(resource: str) -> str:
    return f"{resource}.stop"


def _run(values: Values, ports: Ports, step: str) -> Run:
    path = values["parameters/act/path" if step == "start" else "parameters/deact/path"]
    limit_s = values[f"parameters/timeout/{step}"]
    limit_bytes = values["parameters/logrotate/size"] if values["parameters/logrotate/use"] else _UNLIMITED_LOG_BYTES
    assert isinstance(path, str)
    assert isinstance(limit_s, int | float)
    assert isinstance(limit_bytes, int)
    directory = os.path.join(ports.scripts, ports.place.group, ports.place.name)
    script = os.path.join(directory, path)
    return Run(
        key=_start_key(ports.place.name) if step == "start" else _stop_key(ports.place.name),
        argv=(script,),
        environment=_environment(ports, step),
        directory=os.path.dirname(script),
        timeout_s=limit_s,
        log=str(values["parameters/userlog"] or ""),
        log_limit_bytes=limit_bytes,
    )


def _environment(ports: Ports, step: str) -> dict[str, str]:
    event = ports.event if step == "start" else ports.recall("event")
    return {
        "CLP_EVENT": event or "START",
        "CLP_FACTOR": ports.factor if step == "stop" else "",
        "CLP_SERVER": "HOME" if ports.place.home else "OTHER",
        "CLP_PRIORITY": str(ports.place.priority),
        "CLP_DISK": "SUCCESS",
        "CLP_GROUPNAME": ports.place.group,
        "CLP_RESOURCENAME": ports.place.name,
        "CLP_OSNAME": "Linux",
        "CLP_PATH": os.path.dirname(ports.scripts),
        "CLP_VERSION_FULL": VERSION,
    }


async def _finish(run: Run, ports: Ports) -> None:
    done = await ports.processes.run(run)
    if done.code == 0:
        return
    raise DriverError(f"{run.argv[0]} {_failure(run, done)}{_last_words(done)}")


def _failure(run: Run, done: Exit) -> str:
    if done.code is not None:
        return f"ended with code {done.code} after {done.seconds:.1f} s"
    if done.seconds >= run.timeout_s:
        return f"did not end within {run.timeout_s:g} s and was stopped with all its processes"
    return f"was killed after {done.seconds:.1f} s"


def _last_words(done: Exit) -> str:
    lines = done.tail.split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"; it said: {last[:_SHOWN_CHARACTERS]}" if last else ""


TYPE = ResourceType(SPEC, activate, deactivate, active)
