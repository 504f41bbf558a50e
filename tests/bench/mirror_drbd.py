"""drbd: writing to two disks in two guests with Debian's kernel: DRBD with protocol C, and ours, in turns.

Both are in the same two guests at the same time and have ramdisks of the same size; while one is measured the other
one rests. Nothing is tuned on either side.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from agent.mirrord.settings import Connect, Settings
from tests.agent.mirrord.processes import Mirror, Server
from tests.bench.goals import Goal, Outcome, median
from tests.bench.guests import COMMAND_S, DATA_MB, QEMU, UML, Computer, Kind, computers, emulated, missing, python
from tests.bench.mirror import JOBS, Job
from webmanager.demo.machine import BedError

ROUNDS, JOB_S, QUICK_S = 5, 5.0, 2.0
SIZE = DATA_MB << 20
LIMIT_S = 300.0
LARGE = 0.8  # of DRBD's rate that we want at least for large writes; for small ones all of it
_SETTINGS, _CONFIGURATION = "/run/md1.json", "/etc/drbd.conf"
_OURS, _DRBD = "openclp", "DRBD, protocol C"
_EMULATED = (
    "; the processors are emulated, about ten times slower, which hides what waiting for a disk or a network costs"
)
Say = Callable[[str], None]
# Job and who -> operations a second, one figure a round.
Figures = dict[tuple[str, str], list[float]]
_ATTACH = """
import time
from agent.mirrord.fuse import DeviceError
from agent.mirrord.holder import Holder
from agent.mirrord.settings import read
holder = Holder(read({path!r}), {limit})
deadline = time.monotonic() + {limit}
while True:
    try:
        if holder.start({size}) and holder.held().owner:
            value = holder.attach()
            break
    except DeviceError:  # A guest that is slow; asked again.
        if time.monotonic() > deadline:
            raise
    time.sleep(0.05)
"""
_DRBD_CONFIGURATION = """
global {{ usage-count no; }}
resource r0 {{
  net {{ protocol C; }}
  device /dev/drbd0;
  disk /dev/ram2;
  meta-disk /dev/ram3;
  on a {{ address {a}:7789; }}
  on b {{ address {b}:7789; }}
}}
"""


def run(say: Say, *, quick: bool = False, only: str = "") -> Outcome:
    """`only`: a part of the name of a kind of guests."""
    outcome = Outcome(
        "drbd: operations a second in two guests", ("guests", "job", "who", "ops/s", "us each", "of DRBD")
    )
    measured = False
    for kind in (kind for kind in (QEMU, UML) if only in kind.name):
        why = missing(kind)
        if why:
            outcome.notes.append(f"{kind.name} is left out: {why}.")
            continue
        measured = True
        with computers(kind, partial(_say, say, kind)) as made:
            guests = Guests(made)
            targets = {_DRBD: guests.drbd(), _OURS: guests.openclp()}
            figures = _measure(guests, targets, partial(_say, say, kind), quick)
            outcome.notes.append(f"{kind.name}: DRBD is {guests.version()}{_EMULATED if emulated(kind) else ''}.")
        _tell(outcome, kind, figures)
    if not measured:
        raise BedError(f"no guests for DRBD: {' '.join(outcome.notes) or f'{only!r} is no kind of them'}")
    return outcome


def _say(say: Say, kind: Kind, line: str) -> None:
    say(f"{kind.name}: {line}")


def _measure(guests: Guests, targets: dict[str, str], say: Say, quick: bool) -> Figures:
    say("both are ready; their disks are filled once")
    for target in targets.values():
        guests.fio(target, ["--rw=write", "--bs=1m", f"--size={SIZE}"], write=True)
    figures: Figures = {}
    for number in range(1 if quick else ROUNDS):
        for job in JOBS:
            for who in (_DRBD, _OURS) if number % 2 == 0 else (_OURS, _DRBD):
                rate = guests.job(targets[who], job, QUICK_S if quick else JOB_S)
                say(f"round {number + 1}: {job.name}: {who}: {rate:.0f}/s")
                figures.setdefault((job.name, who), []).append(rate)
    return figures


def _tell(outcome: Outcome, kind: Kind, figures: Figures) -> None:
    for job in JOBS:
        drbd, ours = figures[job.name, _DRBD], figures[job.name, _OURS]
        for who, rates in ((_DRBD, drbd), (_OURS, ours)):
            share = median([rate / base for rate, base in zip(rates, drbd, strict=True)])
            rate = median(rates)
            outcome.rows.append([kind.name, job.name, who, f"{rate:.0f}", f"{1e6 / rate:.0f}", f"{share:.2f}"])
        if job.write:
            share = 1.0 if job.name.startswith("4 KiB") else LARGE
            each, base = (1e6 / median(rates) for rates in (ours, drbd))
            outcome.goals.append(Goal(f"{kind.name}, {job.name}: time", each, base, _DRBD, factor=1 / share, unit="us"))


class GuestServer(Server):
    """Its mirror process runs in a guest; the guest passes on what both say at the control socket."""

    def __init__(self, mirror: Mirror, computer: Computer, peer: Computer) -> None:
        self.mirror, self.name, self.computer = mirror, computer.name, computer
        self.settings = Settings(
            mirror="md1", cluster="test", server=computer.name, peer=peer.name, key="5a" * 32, data="/dev/ram0",
            partition="/dev/ram1", run="/run", device="/dev/NMP1", boot="boot1",
            connects=(Connect(name="mdc1", own=computer.address, peer=peer.address),),
        )  # fmt: skip
        self.process: Any = None
        self.control: Any = None
        self.events: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}
        self.ids, self.since = 0, 1
        computer.heard = self._heard

    def start(self, **changes: Any) -> None:
        text = msgspec.json.encode(self.settings).decode()
        ask(self.computer, "call", code=f"open({_SETTINGS!r}, 'w').write({text!r})")
        command = [python(), "-S", "-m", "agent.mirrord.main", _SETTINGS]
        self.process = ask(self.computer, "start", command=command, log="/run/md1.log")

    def connect(self) -> bool:
        if self.control is None:
            try:
                ask(self.computer, "join", path=self.settings.control)
            except BedError:
                return False
            self.control = self.computer.socket
            self.mirror.view(self)
        return True

    def order(self, op: str, **fields: Any) -> str:
        self.ids += 1
        name = f"{op}{self.ids}"
        self.computer.send("tell", order={"op": op, "id": name, **fields})
        return name

    def read(self) -> None:
        self.computer.read()

    def _heard(self, event: dict[str, Any]) -> None:
        if event["type"] == "state":
            self.state = event
        elif event["type"] == "closed":
            self.control = None
        else:
            self.events.append(event)
            self.mirror.heard(self, event)

    def attach(self) -> str:
        code = _ATTACH.format(path=_SETTINGS, limit=COMMAND_S, size=self.state["size"])
        return str(ask(self.computer, "call", code=code)["out"])

    def log(self) -> str:
        said = ask(self.computer, "call", code="value = open('/run/md1.log').read()[-3000:]")["out"]
        return f"{said}\n{self.computer.story()}"


class GuestMirror(Mirror):
    def __init__(self, made: dict[str, Computer]) -> None:
        self.epoch, self.holding, self.cut = 1, None, False
        self.a, self.b = GuestServer(self, made["a"], made["b"]), GuestServer(self, made["b"], made["a"])

    def until(self, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> None:
        try:
            super().until(condition, limit_s)
        except AssertionError as error:
            raise BedError(f"our mirror in the guests: {error}") from None


class Guests:
    def __init__(self, made: dict[str, Computer]) -> None:
        self.computers = made
        self.mirror = GuestMirror(made)

    # ---- the two mirrors ----
    def openclp(self) -> str:
        mirror = self.mirror
        mirror.start()
        mirror.construct()
        mirror.activate(mirror.a)
        return mirror.a.attach()

    def drbd(self) -> str:
        text = _DRBD_CONFIGURATION.format(**{name: one.address for name, one in self.computers.items()})
        for computer in self.computers.values():
            ask(
                computer,
                "call",
                code=f"import os; os.makedirs('/etc', exist_ok=True); open({_CONFIGURATION!r}, 'w').write({text!r})",
            )
            self._drbdadm(computer, "create-md", "--force", "r0")
            self._drbdadm(computer, "up", "r0")
        first = self.computers["a"]
        for computer in self.computers.values():
            self._wait(computer, "cstate", "Connected")
        # The disks are taken as equal, as ours are after a construction without a copy.
        self._drbdadm(first, "new-current-uuid", "--clear-bitmap", "r0/0")
        self._wait(first, "dstate", "UpToDate/UpToDate")
        self._drbdadm(first, "primary", "r0")
        return "/dev/drbd0"

    def _drbdadm(self, computer: Computer, *words: str) -> str:
        return self.command(computer, ["/lib/drbd/drbdadm-84", *words])

    def _wait(self, computer: Computer, what: str, wanted: str) -> None:
        deadline = time.monotonic() + COMMAND_S
        while (said := self._drbdadm(computer, what, "r0").strip()) != wanted:
            if time.monotonic() > deadline:
                raise BedError(f"DRBD's {what} is {said}, not {wanted}: {computer.story()}")

    def version(self) -> str:
        code = "value = open('/proc/drbd').readline().strip() + ', kernel ' + __import__('os').uname().release"
        return str(ask(self.computers["a"], "call", code=code)["out"]).removeprefix("version: ")

    # ---- work ----
    def command(self, computer: Computer, command: list[str], limit_s: float = LIMIT_S) -> str:
        """What it says; meanwhile what our sides ask each other is carried."""
        number = computer.send("run", command=command, limit_s=limit_s)
        found: dict[str, Any] = {}

        def done() -> bool:
            found.update(computer.answer(number) or {})
            return bool(found)

        self.mirror.until(done, limit_s + COMMAND_S)
        if found["code"]:
            raise BedError(f"{' '.join(command)} in guest {computer.name}: {found['error']} {found['out'][-500:]}")
        return str(found["out"])

    def job(self, target: str, job: Job, job_s: float) -> float:
        """Operations a second; what the page caches hold of it afterwards is nobody else's burden."""
        rate = self.fio(target, [*job.options, "--time_based", f"--runtime={int(job_s * 1000)}ms"], job.write)
        for computer in self.computers.values():
            ask(computer, "call", code="import os; os.sync()")
        if not self.mirror.equal():
            raise BedError(f"our sides lost each other: {self.mirror.story()}")
        return rate

    def fio(self, target: str, options: list[str], write: bool) -> float:
        said = self.command(self.computers["a"], [
            "fio", "--name=job", "--output-format=json", "--randrepeat=0", f"--filename={target}", "--ioengine=libaio",
            "--direct=1", *options,
        ])  # fmt: skip
        result = json.loads(said[said.index("{") :])["jobs"][0]
        if result["error"]:
            raise BedError(f"fio got error {result['error']} from {target} in the guest")
        return float(result["write" if write else "read"]["iops"])


def ask(computer: Computer, op: str, limit_s: float = COMMAND_S, **fields: Any) -> dict[str, Any]:
    number = computer.send(op, **fields)
    deadline = time.monotonic() + limit_s
    while (answer := computer.answer(number)) is None:
        if time.monotonic() > deadline:
            raise BedError(f"no answer to {op} within {limit_s:g} s from the guest {computer.story()}")
        time.sleep(0.01)
    if answer["code"]:
        raise BedError(f"{op} in guest {computer.name}: {answer['error'] or answer['out']}")
    return answer
