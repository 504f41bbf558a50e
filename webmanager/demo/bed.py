"""The bed: servers, LANs and a client as namespaces of this machine, with nothing of it on the machine itself.

One outer set of namespaces is the switch: its network holds the LANs (bridges), and everything else lives inside its
process namespace, so that its end is the end of all. Servers and the client are sets of namespaces within. No
interface, address, mount or setting of the machine is touched; the manager is reached through a relay (relay.py), not
through a cable to the outside. As an ordinary user the same is built inside a user namespace.

LAN number k has 10.29.k.0/24 and fd00:29:k::/64; server n is host n, the client 250, the switch (LAN mgmt only) 254.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from webmanager.demo import loops
from webmanager.demo.faults import Faults
from webmanager.demo.machine import DISK, UNSHARE, BedError, Machine, MachineGoneError, start_here

ROOT = Path(__file__).resolve().parents[2]
MANAGEMENT = "mgmt"  # no heartbeats here: only the agents' way to the manager
CLIENT_HOST = 250
SWITCH_HOST = 254
RUN = "/run/openclp"  # of a server: does not

PROGRAMS = {"unshare": "util-linux", "mount": "mount", "ip": "iproute2"}


class Bed:
    """`with Bed() as bed:` gives running machines; leaving it leaves nothing."""

    def __init__(
        self,
        lans: Sequence[str] = ("ic1", "ic2", "pub"),
        servers: int = 3,
        private: Sequence[str] = (),
    ) -> None:
        """`private`: directories of the machine that each server gets an empty one of its own instead."""
        assert all(0 < len(lan) <= 8 for lan in lans), "a LAN is also the name of a NIC"
        self.lans = (*lans, MANAGEMENT)
        self.servers = tuple(f"server{n}" for n in range(1, servers + 1))
        self.private = tuple(private)
        environment = _environment()
        first = (UNSHARE[0], "--user", "--map-root-user", *UNSHARE[1:]) if os.geteuid() != 0 else UNSHARE
        self.switch = Machine("switch", environment, first)
        self.client = Machine("client", environment)
        server_environment = {
            **environment,
            "OPENCLP_ETC": f"{DISK}/etc", "OPENCLP_STATE": f"{DISK}/state",
            "OPENCLP_LOG": f"{DISK}/log", "OPENCLP_RUN": RUN,
        }  # fmt: skip
        self.machines = {name: Machine(name, server_environment) for name in self.servers}
        self.faults = Faults(self)

    def __getitem__(self, server: str) -> Machine:
        try:
            return self.machines[server]
        except KeyError:
            raise BedError(f"there is no server {server!r}; there are {', '.join(self.servers)}") from None

    # ---- up and down ----
    def __enter__(self) -> Bed:
        missing_programs(PROGRAMS)
        try:
            self._build()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()

    def down(self) -> None:
        """The switch's process 1 ends, and with it everything inside; then the rest is bookkeeping."""
        marks = [self._dark(machine) for machine in self.machines.values()]
        for machine in (self.switch, self.client, *self.machines.values()):
            machine.power_off()
        for mark in marks:
            loops.release(mark)

    def _dark(self, machine: Machine) -> str:
        """Its mirror disks fail, as they do without power; returns by what they are known."""
        if not machine.on:
            return ""
        mark = loops.mark_of(machine.path(RUN))
        if self.switch.on:
            loops.abort(mark, self.switch.path(loops.CONNECTIONS))
        return mark

    def mirror_devices(self) -> list[str]:
        """Of the servers with power, as loops.sweep knows them: what a killed builder of the bed leaves."""
        found: list[str] = []
        for machine in self.machines.values():
            with contextlib.suppress(MachineGoneError):
                found += loops.names(loops.mark_of(machine.path(RUN)))
        return found

    def _build(self) -> None:
        self.switch.start(start_here)
        disks = " ".join(f"{_disk(name)}/etc {_disk(name)}/state {_disk(name)}/log" for name in self.servers)
        self.switch.sh(f"mount -t tmpfs -o mode=755,size=512m openclp-bed /run; mkdir -p /run/bed/stage {disks}")
        self.switch.sh(f"mount -t fusectl fusectl {loops.CONNECTIONS} 2>/dev/null || :")
        # A bridge without an address of its own takes the lowest of its ports', and so another one when a server comes
        # or goes: the others would not reach the switch (manager, witness) until their ARP entries had expired.
        bridges = "".join(
            f"link add {lan} address {self.mac(lan, 'switch')} type bridge stp_state 0 forward_delay 0 "
            f"mcast_snooping 0\nlink set {lan} up\n"
            for lan in self.lans
        )
        at = self.address(SWITCH_HOST, MANAGEMENT)
        self._ip(self.switch, f"link set lo up\n{bridges}address add {at}/24 dev {MANAGEMENT}\n")
        self._power_on(self.client)
        for name in self.servers:
            self._power_on(self.machines[name])

    # ---- power and wiring ----
    def power_on(self, server: str) -> None:
        if not self[server].on:
            self._power_on(self[server])

    def power_off(self, server: str) -> None:
        """As a power cut is: the links are dark before the processes die, so nobody is told."""
        machine = self[server]
        if machine.on:
            self._ip(self.switch, "".join(f"link set {self.port(lan, server)} down\n" for lan in self.lans))
            mark = self._dark(machine)
            machine.power_off()
            loops.release(mark)

    def _power_on(self, machine: Machine) -> None:
        machine.start(self._start_inside)
        try:
            if machine is not self.client:
                machine.sh(_boot(machine.name, self.private))
            self._wire(machine)
        except BaseException:
            machine.power_off()
            raise

    def _start_inside(self, argv: list[str], control: socket.socket, stderr: int) -> None:
        self.switch.spawn([*argv, "3"], stderr=stderr, extra=[control.fileno()])

    def _wire(self, machine: Machine) -> None:
        lans = self.lans_of(machine.name)
        # The kernel removes the cables of a machine that lost its power, but a little later.
        stale = "".join(f"link delete {self.port(lan, machine.name)}\n" for lan in lans)
        self.switch.run(["ip", "-force", "-batch", "-"], input=stale, check=False)
        plug = "".join(
            f"link add {self.port(lan, machine.name)} type veth peer name {lan} address {self.mac(lan, machine.name)} "
            f"netns /proc/self/fd/3\n"
            f"link set {self.port(lan, machine.name)} master {lan} up\n"
            for lan in lans
        )
        # Addresses of a server are fixed and ours: nobody else can have them, so nothing waits for that check.
        machine.sh("for f in default all; do echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad; done 2>/dev/null || :")
        net = machine.net()
        try:
            self.switch.run(["ip", "-batch", "-"], input=plug, extra=[net])
        finally:
            os.close(net)
        addresses = "".join(
            f"address add {self.address(machine.name, lan)}/24 dev {lan}\nlink set {lan} up\n"
            f"address add {self.address6(machine.name, lan)}/64 dev {lan} nodad\n"
            for lan in lans
        )
        self._ip(machine, f"link set lo up\n{addresses}")

    def _ip(self, machine: Machine, batch: str) -> None:
        machine.run(["ip", "-batch", "-"], input=batch)

    # ---- names and numbers ----
    def lans_of(self, name: str) -> tuple[str, ...]:
        """The client is on the last LAN only."""
        return self.lans if name in self.machines else (self.lans[-2],)

    def port(self, lan: str, name: str) -> str:
        """The interface of the switch that the cable of this machine ends in."""
        return f"{lan}.{self.host(name)}"

    def host(self, name: str) -> int:
        others = {"client": CLIENT_HOST, "switch": SWITCH_HOST}
        return others[name] if name in others else self.servers.index(name) + 1

    def address(self, name: str | int, lan: str) -> str:
        """IPv4 address of a server, of "client", or of any host number, on this LAN."""
        host = name if isinstance(name, int) else self.host(name)
        return f"10.29.{self.lan_number(lan)}.{host}"

    def address6(self, name: str | int, lan: str) -> str:
        host = name if isinstance(name, int) else self.host(name)
        return f"fd00:29:{self.lan_number(lan)}::{host}"

    @property
    def witness(self) -> str:
        """Where a witness can listen: outside of all servers, reached over the LAN that carries no heartbeats."""
        return self.address(SWITCH_HOST, MANAGEMENT)

    def lan_number(self, lan: str) -> int:
        if lan == MANAGEMENT:
            return 0
        if lan not in self.lans:
            raise BedError(f"there is no LAN {lan!r}; there are {', '.join(self.lans[:-1])}")
        return self.lans.index(lan) + 1

    def mac(self, lan: str, name: str) -> str:
        """Fixed, as a NIC's is: it is the same after a new start."""
        return f"02:29:00:00:{self.lan_number(lan):02x}:{self.host(name):02x}"


@contextlib.contextmanager
def bed(lans: Sequence[str] = ("ic1", "ic2", "pub"), servers: int = 3) -> Iterator[Bed]:
    with Bed(lans, servers) as it:
        yield it


def missing_programs(programs: Mapping[str, str]) -> None:
    """Raises with one sentence that names the Debian packages of what is not there."""
    path = _environment()["PATH"]
    packages = sorted({package for program, package in programs.items() if not shutil.which(program, path=path)})
    if packages:
        raise BedError(f"this needs {', '.join(packages)}: apt-get install {' '.join(packages)}")


def _environment() -> dict[str, str]:
    """What every program in the bed gets: no secret of the caller's, the same Python, this checkout."""
    path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "PATH": path, "PYTHONPATH": str(ROOT), "HOME": "/root", "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


def _disk(name: str) -> str:
    return f"/run/bed/{name}"


def _boot(name: str, private: Sequence[str]) -> str:
    """A new /run with the server's disk in it; its own /dev/shm and view of /sys."""
    empty = "".join(f"if [ -d {path} ]; then mount -t tmpfs -o mode=755 private {path}; fi\n" for path in private)
    return f"""
        cd /run/bed/stage
        mount -t tmpfs -o mode=755,size=64m run .
        cd /run/bed/stage
        mkdir server openclp lock
        mount --bind {_disk(name)} server
        mount --rbind /run/bed/stage /run
        mount -t tmpfs -o mode=1777,size=256m shm /dev/shm
        # The one file of /proc by which a server's final action could bring down the machine that the bed is on.
        [ ! -e /proc/sysrq-trigger ] || mount --bind /dev/null /proc/sysrq-trigger
        mount -t sysfs sysfs /sys 2>/dev/null || : # Some containers forbid it; only its view of the NICs is lost.
        {empty}
    """
