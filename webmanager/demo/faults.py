"""What can go wrong in the bed: cables, LANs, lossy and one-way links, hanging servers, dying processes."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from webmanager.demo.machine import BedError, MachineGoneError

if TYPE_CHECKING:
    from webmanager.demo.bed import Bed

WITNESS_PORT = 29080

Link = tuple[str, str]  # (LAN, server)


class Faults:
    """Each fault stays until its opposite, heal(), or (packet filters, frozen processes) the server's loss of power."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self.pulled: set[Link] = set()
        self.frozen: set[str] = set()
        self.no_witness: set[str] = set()  # servers that do not reach the witness
        self.filters: dict[str, list[tuple[str, str, str]]] = {}  # server -> (LAN, rule of nft, words)

    def now(self) -> list[str]:
        """What is wrong at the moment, one sentence each."""
        bed = self._bed
        return [
            *(f"{server} has no power" for server in bed.servers if not bed[server].on),
            *(f"every process of {server} is stopped" for server in sorted(self.frozen)),
            *(f"the cable of {server} to {lan} is pulled" for lan, server in sorted(self.pulled)),
            *(f"{server} does not reach the witness" for server in sorted(self.no_witness)),
            *(f"{server} {words}" for server, rules in self.filters.items() for _, _, words in rules),
        ]

    # ---- power ----
    def power_off(self, server: str) -> None:
        self._bed.power_off(server)
        self.frozen.discard(server)
        self.filters.pop(server, None)

    def power_on(self, server: str) -> None:
        """Pulled cables stay pulled."""
        if self._bed[server].on:
            return
        self._bed.power_on(server)
        for lan, other in self.pulled:
            if other == server:
                self._carrier(lan, server, up=False)

    # ---- cables ----
    def pull(self, lan: str, server: str) -> None:
        """The server sees that it has no carrier."""
        self._carrier(lan, server, up=False)
        self.pulled.add((lan, server))

    def plug(self, lan: str, server: str) -> None:
        self._carrier(lan, server, up=True)
        self.pulled.discard((lan, server))

    def cut(self, lan: str) -> None:
        """The whole LAN is gone, for the servers."""
        for server in self._bed.servers:
            self.pull(lan, server)

    def isolate(self, server: str) -> None:
        """All of its cables, also the one to the manager and the witness: it is on, and alone."""
        for lan in self._bed.lans:
            self.pull(lan, server)

    def _carrier(self, lan: str, server: str, *, up: bool) -> None:
        self._bed.lan_number(lan)
        if self._bed[server].on:
            port = self._bed.port(lan, server)
            self._bed.switch.run(["ip", "link", "set", port, "up" if up else "down"])

    # ---- packets ----
    def deaf(self, lan: str, server: str, source: str) -> None:
        """One-way: the server receives nothing from `source` on this LAN, ARP included."""
        mac = self._bed.mac(lan, source)
        self._filter(server, lan, f"ether saddr {mac} drop", f"hears nothing from {source} on {lan}")

    def lose(self, lan: str, server: str, percent: float) -> None:
        """The server loses this share of all packets that arrive on the LAN."""
        if not 0 < percent <= 100:
            raise BedError(f"a loss of {percent} % is not possible")
        rule = "drop" if percent == 100 else f"numgen random mod 1000 < {round(percent * 10)} drop"
        self._filter(server, lan, rule, f"loses {percent:g} % of what arrives on {lan}")

    # ---- the witness ----
    def cut_witness(self, server: str = "") -> None:
        """The server, or without a name every one, does not reach the witness; all else goes on."""
        self._set_witness(self.no_witness | ({server} if server else set(self._bed.servers)))

    def mend_witness(self) -> None:
        self._set_witness(set())

    def _set_witness(self, servers: set[str]) -> None:
        lan = self._bed.lans[-1]  # That of the manager, without heartbeats.
        drop = "".join(
            f"ip saddr {self._bed.address(server, lan)} tcp dport {WITNESS_PORT} drop\n" for server in servers
        )
        chain = f"chain witness {{ type filter hook input priority 0;\n{drop} }}"
        rules = f"add table inet bed\ndelete table inet bed\ntable inet bed {{\n{chain}\n}}\n"
        self._bed.switch.run(["nft", "-f", "-"], input=rules)
        self.no_witness = servers

    def _filter(self, server: str, lan: str, rule: str, words: str) -> None:
        self._bed.lan_number(lan)
        rules = [*self.filters.get(server, []), (lan, rule, words)]
        self._load(server, rules)
        self.filters[server] = rules

    def _load(self, server: str, rules: list[tuple[str, str, str]]) -> None:
        """The netdev ingress hook sees everything that arrives, before ARP and IP do."""
        chains = "".join(
            f'chain {lan} {{ type filter hook ingress device "{lan}" priority -500;\n'
            + "".join(f"{rule}\n" for on, rule, _ in rules if on == lan)
            + "}\n"
            for lan in dict.fromkeys(lan for lan, _, _ in rules)
        )
        table = f"table netdev bed {{ {chains} }}" if rules else ""
        self._bed[server].run(["nft", "-f", "-"], input=f"add table netdev bed\ndelete table netdev bed\n{table}\n")

    # ---- processes ----
    def freeze(self, server: str) -> None:
        """SIGSTOP for every process but the power switch: the kernel lives, the server does nothing."""
        self._bed[server].kill(-1, signal.SIGSTOP)
        self.frozen.add(server)

    def thaw(self, server: str) -> None:
        self._bed[server].kill(-1, signal.SIGCONT)
        self.frozen.discard(server)

    def kill(self, server: str, word: str, number: int = signal.SIGKILL) -> list[int]:
        """Signal the processes that have `word` in their command line; the numbers of those that were there."""
        machine = self._bed[server]
        hit = [pid for pid in machine.pids(word) if machine.kill(pid, number)]
        if not hit:
            raise BedError(f"{server} runs no process with {word!r} in its command line")
        return hit

    # ---- everything well again ----
    def heal(self) -> None:
        """Cables plugged, filters gone, the witness reached, stopped processes going on. Power stays as it is."""
        for lan, server in sorted(self.pulled):
            self.plug(lan, server)
        if self.no_witness:
            self.mend_witness()
        for server in list(self.filters):
            with contextlib.suppress(MachineGoneError):
                self._load(server, [])
            del self.filters[server]
        for server in list(self.frozen):
            with contextlib.suppress(MachineGoneError):
                self.thaw(server)
            self.frozen.discard(server)
