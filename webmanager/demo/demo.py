"""The demo as a whole: bed, agents, client, manager, its control socket and its state file, up and down."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from webmanager.demo import loops
from webmanager.demo.bed import ROOT, Bed
from webmanager.demo.client import Client
from webmanager.demo.cluster import DemoCluster, demo_plan
from webmanager.demo.configuration import Mirror
from webmanager.demo.console import Console
from webmanager.demo.control import ControlServer, answers
from webmanager.demo.database import PORT, SIZE_MIB, USER, programs
from webmanager.demo.machine import BedError

ONLINE_S = 60.0
STATE_STEP_S = 0.2
DEVICES = "devices"  # below its directory: what a killed demo leaves on the machine
RUN_LIMIT = 50_000  # characters of a command's output that the control socket carries
PORTS = (29003, 29009)
OPS = ("status", "crash", "hang", "recover", "cut", "isolate", "cut-witness", "mend-witness", "heal", "run", "down")
SERVERS = (2, 3, 4)


def default_directory() -> Path:
    return Path(os.environ.get("OPENCLP_DATA") or ROOT / "var") / "demo"


class Demo:
    """`with Demo(directory) as demo:` is up with every group online; leaving it leaves nothing."""

    def __init__(
        self,
        directory: Path,
        *,
        ports: tuple[int, int] | None = PORTS,
        resolvers: tuple[str, ...] = ("majority",),
        servers: int = 3,
        mirror: bool = False,
        database: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        """`ports` None: without the manager. `mirror`: the first group has a mirror disk; for two servers.
        `database`: with PostgreSQL on it."""
        self.directory = directory
        self.ports = ports
        self.say = say
        self.bed = Bed(servers=servers)
        if database:
            programs()  # Or what is missing is said before anything is started.
        disk = Mirror(size_mib=SIZE_MIB) if database else Mirror() if mirror else None
        self.plan = demo_plan(self.bed, majority=False, resolvers=resolvers, mirror=disk, database=database)
        self.cluster = DemoCluster(self.bed, self.plan)
        self.console: Console | None = None
        self.client: Client | None = None
        self.ended = threading.Event()  # somebody asked for the end
        self._lock = threading.Lock()  # one fault at a time
        self._stack = contextlib.ExitStack()

    # ---- up and down ----
    def __enter__(self) -> Demo:
        with contextlib.ExitStack() as stack:
            self._up(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _up(self, stack: contextlib.ExitStack) -> None:
        self._own_directory(stack)
        if self.ports:
            data = self.directory / "manager"
            data.mkdir(mode=0o700)
            self.console = Console(data, self.directory, self.ports, self.say)
            stack.callback(self.console.close)
        stack.enter_context(self.bed)
        stack.callback(self._keep_logs)
        control = ControlServer(self.directory / "control.sock", self.handle)
        stack.callback(control.close)
        self._start_agents()
        self.client = Client(self.bed, self.cluster.targets())
        stack.callback(self.client.close)
        self._start_state(stack)
        self.cluster.wait_online(ONLINE_S)
        for group in self.client.groups():
            self.client.wait_any(group, ONLINE_S)

    def _own_directory(self, stack: contextlib.ExitStack) -> None:
        """Whatever a killed demo left there goes; a running one is left alone."""
        if answers(self.directory / "control.sock"):
            raise BedError(f"a demo runs in {self.directory} already; another one needs --data DIRECTORY and --ports")
        try:
            if self.directory.exists() and not (self.directory / ".demo").exists() and any(self.directory.iterdir()):
                raise BedError(f"{self.directory} is not empty and not a demo's; name another one with --data")
            self._remove_left_devices()
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory.mkdir(mode=0o700, parents=True)
            (self.directory / ".demo").touch()
        except OSError as error:
            reason = f"{self.directory} cannot be used ({error.strerror}); name another one with --data"
            raise BedError(reason) from error
        stack.callback(shutil.rmtree, self.directory, ignore_errors=True)

    def _remove_left_devices(self) -> None:
        """Mirror disks belong to the machine: those of a demo that was killed stay until somebody takes them away."""
        with contextlib.suppress(FileNotFoundError):
            left = (self.directory / DEVICES).read_text().splitlines()
            for device in loops.sweep(left):
                self.say(f"{device} was left by a demo that was killed here; it is removed.")

    def _note_devices(self) -> None:
        text = "\n".join(self.bed.mirror_devices())
        file = self.directory / DEVICES
        if text != (file.read_text() if file.exists() else ""):
            fresh = file.with_suffix(".new")
            fresh.write_text(text)
            fresh.replace(file)

    def _start_agents(self) -> None:
        managers: Mapping[str, str] | None = None
        if self.console:
            self.console.wait_ready()
            managers = self.console.admit(self.bed, self.plan.name)
            if self.cluster.arbiters.with_witness:
                self.console.witness(self.bed, self.cluster.arbiters.introduction())
        self.cluster.install(managers)
        self.cluster.start_agents()

    def _keep_logs(self) -> None:
        """OPENCLP_DEMO_LOGS names a directory that shall have the agents' logs afterwards (for error reports, CI)."""
        if wanted := os.environ.get("OPENCLP_DEMO_LOGS"):
            self.cluster.save_logs(Path(wanted))

    # ---- state.json: what the page shows of the demo ----
    def state(self) -> dict[str, Any]:
        """Changes only when something changed, so that the reader can compare."""
        assert self.client
        clients = {}
        for group in self.plan.groups:
            seen = self.client.seen(group.name)
            last = seen.outages[-1] if seen.outages else {}
            clients[group.name] = {
                "answering": seen.answering, "since": round(seen.since, 3),
                "last_outage_s": last.get("outage_s"), "outages": seen.outages[-20:],
                "address": group.address, "port": group.port,
            }  # fmt: skip
        servers = {
            name: "off" if not self.bed[name].on else "hung" if name in self.bed.faults.frozen else "on"
            for name in self.bed.servers
        }
        return {"clients": clients, "servers": servers, "lans": self.bed.lans[:-1], "faults": self.bed.faults.now()}

    def _start_state(self, stack: contextlib.ExitStack) -> None:
        stop = threading.Event()

        def loop() -> None:
            written = ""
            while not stop.wait(STATE_STEP_S):
                text = json.dumps(self.state())
                if text != written:
                    fresh = self.directory / "state.json.new"
                    fresh.write_text(text)
                    fresh.replace(self.directory / "state.json")
                    written = text
                if self.plan.mirror is not None:
                    self._note_devices()

        thread = threading.Thread(target=loop, name="demo state", daemon=True)
        thread.start()
        stack.callback(thread.join, 5)
        stack.callback(stop.set)

    # ---- control socket ----
    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        op, server, lan = (str(request.get(key) or "") for key in ("op", "server", "lan"))
        if op == "status":
            return {**self.state(), "text": self.text()}
        if op == "run":
            return self._run(server, request.get("argv"))
        if op == "down":
            self.ended.set()
            return {"text": "The demo ends."}
        with self._lock:
            text = self._fault(op, server, lan)
        self.say(text)
        return {"text": text}

    def _fault(self, op: str, server: str, lan: str) -> str:
        faults = self.bed.faults
        if server and op != "cut":
            self.bed[server]  # BedError names the known ones.
        if op == "crash":
            self.cluster.crash(server)
            return f"{server} lost its power."
        if op == "hang":
            self.cluster.hang(server)
            return f"Every process of {server} is stopped."
        if op == "recover":
            self.cluster.recover(server)
            return f"{server} is back."
        if op == "cut":
            if server:
                faults.pull(lan, server)
                return f"The cable of {server} to {lan} is pulled."
            faults.cut(lan)
            return f"{lan} is cut."
        if op == "isolate":
            faults.isolate(server)
            return f"Every cable of {server} is pulled: it is on, and alone."
        if op == "cut-witness":
            self._needs_witness()
            faults.cut_witness(server)
            return f"{server or 'No server'} {'does not reach' if server else 'reaches'} the witness."
        if op == "mend-witness":
            self._needs_witness()
            faults.mend_witness()
            return "Every server reaches the witness again."
        if op == "heal":
            faults.heal()
            for name in self.bed.servers:
                self.cluster.recover(name)
            return "Everything is plugged in and has power again."
        raise BedError(f"unknown op {op!r}; known: {' '.join(OPS)}")

    def _needs_witness(self) -> None:
        if "witness" not in self.plan.resolvers:
            raise BedError("this demo has no witness; start it with --resolver witness")

    def _run(self, server: str, argv: Any) -> dict[str, Any]:
        if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
            raise BedError('"argv" must be a list of words')
        return {"text": self.cluster.run(server, *argv, check=False)[-RUN_LIMIT:]}

    def text(self) -> str:
        """For a person: clpstat of a living server, then what the client sees and what is broken on purpose."""
        assert self.client
        lines = []
        for server in self.bed.servers:
            if self.bed[server].on and server not in self.bed.faults.frozen:
                with contextlib.suppress(BedError):
                    lines.append(self.cluster.run(server, "clpstat", timeout_s=15))
                    break
        if self.plan.database:
            at = self.plan.groups[0].address
            lines.append(f"PostgreSQL on md1: bin/demo run server1 psql -h {at} -p {PORT} -U {USER}")
        for group in self.plan.groups:
            seen = self.client.seen(group.name)
            last = f", last outage {seen.outages[-1]['outage_s']:.2f} s" if seen.outages else ""
            place = f"http://{group.address}:{group.port}/"
            lines.append(f"client: {group.name} {place} answered by {seen.answering or 'nobody'}{last}")
        lines += self.cluster.arbiters.text()
        lines += [f"fault: {sentence}" for sentence in self.bed.faults.now()]
        return "\n".join(lines)
