"""Whoever keeps an address in the bed: openclp, keepalived, corosync with pacemaker; all driven the same way."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from webmanager.demo.bed import Bed
from webmanager.demo.cluster import FIRST_PORT, DemoCluster, demo_plan
from webmanager.demo.configuration import SERVICE
from webmanager.demo.machine import BedError, until

# Directories of this machine of which each server needs one of its own.
PRIVATE = ("/etc/corosync", "/etc/pacemaker", "/var/lib/corosync", "/var/lib/pacemaker",
           "/var/log/corosync", "/var/log/pacemaker", "/var/log/cluster")  # fmt: skip
VIP_HOST = 120
SETTLE_S = 90.0


class Rival(Protocol):
    name: str
    address: str
    port: int
    interval_s: float  # of its heartbeats on the public LAN, 0: it has none there

    def install(self) -> None: ...
    def boot(self, server: str) -> None:
        """What starts by itself when the server gets power."""

    def unsettled(self) -> str:
        """Empty when every server takes part and one of them has the address; else what is missing."""


class Openclp:
    """`services`: the group holds the demo's web service. Without, it runs everywhere, as for the peers."""

    def __init__(self, bed: Bed, interval_ms: int, timeout_ms: int, *, services: bool = False, **plan: Any) -> None:
        self.name = f"openclp {interval_ms}/{timeout_ms} ms"
        self.bed = bed
        settings = {"groups": 1, "services": services, "startup_wait_s": 3, **plan}
        self.plan = demo_plan(bed, interval_ms=interval_ms, timeout_ms=timeout_ms, **settings)
        self.cluster = DemoCluster(bed, self.plan)
        self.address, self.port = next(iter(self.cluster.targets().values()))
        self._services = services
        self.interval_s = interval_ms / 1000
        self.managers: dict[str, str] | None = None

    def install(self) -> None:
        self.cluster.install(self.managers)

    def boot(self, server: str) -> None:
        if not self._services:
            serve(self.bed, server, self.port)
        self.cluster.start_agent(server)

    def unsettled(self) -> str:
        return self.cluster.online()


class Keepalived:
    """VRRPv3, with the detection time of an openclp of this interval and timeout, see vrrp()."""

    def __init__(self, bed: Bed, interval_ms: int, timeout_ms: int) -> None:
        self.bed = bed
        self.advert_ms, priority, silence_ms = vrrp(timeout_ms - interval_ms / 2)
        self.name = f"keepalived VRRPv3 {self.advert_ms}/{silence_ms:.0f} ms"
        self.interval_s = self.advert_ms / 1000
        self.priorities = dict(zip(bed.servers, (254, priority, max(1, priority // 2)), strict=True))
        self.lan = bed.lans_of("client")[0]
        self.address, self.port = bed.address(VIP_HOST, self.lan), FIRST_PORT + 100

    def install(self) -> None:
        for server in self.bed.servers:
            text = (
                "global_defs {\n vrrp_version 3\n}\n"
                f"vrrp_instance bench {{\n state BACKUP\n interface {self.lan}\n virtual_router_id 29\n"
                f" priority {self.priorities[server]}\n advert_int {self.advert_ms / 1000}\n"
                f" virtual_ipaddress {{\n  {self.address}/24 dev {self.lan}\n }}\n}}\n"
            )
            _put(disk(self.bed, server) / "etc" / "keepalived.conf", text)

    def boot(self, server: str) -> None:
        serve(self.bed, server, self.port)
        pids = [word for kind in ("p", "r", "c") for word in (f"-{kind}", f"/run/keepalived-{kind}.pid")]
        self.bed[server].spawn(["keepalived", "-n", "-P", "-f", "/run/server/etc/keepalived.conf", *pids])

    def unsettled(self) -> str:
        found = owners(self.bed, self.address)
        return "" if found == [self.bed.servers[0]] else f"the address is on {found}"


class Pacemaker:
    """Debian's corosync and pacemaker, one IPaddr2, no fencing."""

    def __init__(self, bed: Bed, token_ms: int = 500) -> None:
        self.name = f"corosync+pacemaker token {token_ms} ms"
        self.bed = bed
        self.token_ms = token_ms
        self.interval_s = 0.0
        self.lan = bed.lans_of("client")[0]
        self.address, self.port = bed.address(VIP_HOST, self.lan), FIRST_PORT
        self._configured = False

    def install(self) -> None:
        nodes = "".join(
            f" node {{\n  name: {server}\n  nodeid: {number}\n"
            + "".join(
                f"  ring{ring}_addr: {self.bed.address(server, lan)}\n" for ring, lan in enumerate(("ic1", "ic2"))
            )
            + " }\n"
            for number, server in enumerate(self.bed.servers, 1)
        )
        # With four, as by default, corosync refuses a token below 138 ms.
        retransmits = " token_retransmits_before_loss_const: 1\n" if self.token_ms < 138 else ""
        # Without the coefficient, corosync adds 650 ms for the third server.
        text = (
            f"totem {{\n version: 2\n cluster_name: bench\n transport: knet\n token: {self.token_ms}\n"
            f" token_coefficient: 0\n{retransmits} crypto_cipher: none\n crypto_hash: none\n}}\n"
            f"nodelist {{\n{nodes}}}\nquorum {{\n provider: corosync_votequorum\n}}\n"
            "logging {\n to_syslog: no\n to_stderr: no\n to_logfile: yes\n logfile: /run/server/log/corosync.log\n}\n"
        )
        for server in self.bed.servers:
            _put(disk(self.bed, server) / "etc" / "corosync.conf", text)
        self._configured = False

    def boot(self, server: str) -> None:
        serve(self.bed, server, self.port)
        machine = self.bed[server]
        machine.sh(
            "cp /run/server/etc/corosync.conf /etc/corosync/\nmkdir -p /run/crm /run/lock\n"
            "for d in cib pengine cores blackbox; do mkdir -p /var/lib/pacemaker/$d; done\n"
            "chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker /run/crm\n"
        )
        machine.spawn(["corosync", "-f"])
        machine.sh("for n in $(seq 100); do corosync-cfgtool -s >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1")
        machine.spawn(["pacemakerd"], environment={"PCMK_logfile": "/run/server/log/pacemaker.log"})

    def unsettled(self) -> str:
        seen = self.bed[self.bed.servers[0]].run(["crm_mon", "-1"], check=False).out
        if f"Online: [ {' '.join(self.bed.servers)} ]" not in seen:
            return "not all servers are Online in crm_mon"
        if not self._configured:
            self._configure()
        found = owners(self.bed, self.address)
        return "" if len(found) == 1 and "Started" in seen else f"the address is on {found}"

    def _configure(self) -> None:
        machine = self.bed[self.bed.servers[0]]
        for kind, name, value in (
            ("crm_config", "stonith-enabled", "false"),
            ("rsc_defaults", "resource-stickiness", "100"),
        ):
            words = ["crm_attribute", "--type", kind, "--name", name, "--update", value]
            machine.run(words, timeout_s=30)
        values = {"ip": self.address, "cidr_netmask": "24", "nic": self.lan}
        pairs = "".join(f'<nvpair id="vip-{key}" name="{key}" value="{value}"/>' for key, value in values.items())
        resource = (
            '<primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2">'
            f'<instance_attributes id="vip-values">{pairs}</instance_attributes></primitive>'
        )
        machine.run(["cibadmin", "--create", "--scope", "resources", "--xml-text", resource], timeout_s=30)
        self._configured = True


def vrrp(detection_ms: float) -> tuple[int, int, float]:
    """(interval, priority of the first backup, the silence after which it takes over; in ms).

    A server dies half an interval after its last heartbeat, on average. So openclp detects it after the timeout less
    half an interval, VRRP (RFC 5798) after two and a half intervals and a skew of (256 - priority) / 256 of one. The
    shortest interval, in hundredths of a second, that gives the wanted detection time is chosen.
    """
    advert_ms = next(10 * a for a in range(1, 4096) if 35 * a > detection_ms)
    priority = min(253, max(2, round(256 * (3.5 - detection_ms / advert_ms))))
    return advert_ms, priority, (3 + (256 - priority) / 256) * advert_ms


def why_without_keepalived() -> str:
    return "" if shutil.which("keepalived") else "keepalived is not installed: apt-get install keepalived"


def why_without_pacemaker() -> str:
    programs = ("corosync", "pacemakerd", "cibadmin", "crm_mon")
    if not all(map(shutil.which, programs)) or not Path("/usr/lib/ocf/resource.d/heartbeat/IPaddr2").exists():
        return (
            "corosync and pacemaker are not installed: "
            "apt-get install corosync pacemaker pacemaker-cli-utils resource-agents"
        )
    return "" if os.geteuid() == 0 else "pacemaker changes to its own user, which takes root"


def serve(bed: Bed, server: str, port: int) -> None:
    """The web service that answers with the server's name, on all its addresses."""
    bed[server].spawn([sys.executable, "-I", "-S", str(SERVICE), "bench", str(port)])


def disk(bed: Bed, server: str) -> Path:
    return bed.switch.path(f"/run/bed/{server}")


def owners(bed: Bed, address: str) -> list[str]:
    """By the kernels of the servers."""
    found = []
    for server in bed.servers:
        with contextlib.suppress(BedError):
            if f" {address}/" in bed[server].run(["ip", "-o", "address"]).out:
                found.append(server)
    return found


def raise_cluster(bed: Bed, *rivals: Rival) -> None:
    """Servers as new, with power; the rivals installed, started and settled."""
    bed.faults.heal()
    for server in bed.servers:
        bed.faults.power_off(server)
        for part in ("etc", "state", "log"):
            shutil.rmtree(disk(bed, server) / part, ignore_errors=True)
            (disk(bed, server) / part).mkdir(parents=True)
    for server in bed.servers:
        bed.faults.power_on(server)
    for rival in rivals:
        rival.install()
        for server in bed.servers:
            rival.boot(server)
    for rival in rivals:
        settle(rival)


def settle(rival: Rival) -> None:
    last = [""]

    def settled() -> bool:
        try:
            last[0] = rival.unsettled()
        except BedError as error:
            last[0] = str(error)
        return not last[0]

    try:
        until(settled, f"{rival.name} settled", SETTLE_S, 0.1)
    except BedError as error:
        raise BedError(f"{error}: {last[0]}") from None
    # The last word of whoever settled last must have reached the others.
    time.sleep(0.5)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
