"""A power switch for the servers of the bed, and the fence agent that works it: for the tests only.

The switch is a socket that answers off, on and status; the agent is a program like those of the package fence-agents.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

from webmanager.demo.bed import Bed

AGENT = """#!{python} -ISs
import socket, sys
if sys.argv[1:] == ["-o", "metadata"]:
    print('''<?xml version="1.0"?>
<resource-agent name="fence_bed" shortdesc="Power switch of the bed"><longdesc>For tests.</longdesc><parameters>
<parameter name="action" required="1"><content type="string" default="reboot"/></parameter>
<parameter name="plug" required="1"><content type="string"/></parameter>
<parameter name="password" required="1"><content type="string"/></parameter>
</parameters><actions><action name="on"/><action name="off"/><action name="status"/></actions></resource-agent>''')
    sys.exit(0)
options = dict(line.rstrip("\\n").split("=", 1) for line in sys.stdin)
print("options:", options)
with socket.socket(socket.AF_UNIX) as end:
    end.settimeout(20)
    end.connect({path!r})
    end.sendall(f"{{options['action']}} {{options['plug']}} {{options['password']}}\\n".encode())
    answer = end.makefile().readline().strip()
print("the switch says:", answer)
sys.exit({{"ok": 0, "on": 0, "off": 2}}.get(answer, 1))
"""
PASSWORD = "open-sesame"


class PowerSwitch:
    """`broken` servers cannot be switched; `log` has what was asked."""

    def __init__(self, bed: Bed, directory: Path) -> None:
        self.bed = bed
        self.broken: set[str] = set()
        self.log: list[tuple[str, str]] = []
        path = str(directory / "switch.sock")
        program = directory / "fence_bed"
        program.write_text(AGENT.format(python=sys.executable, path=path))
        program.chmod(0o755)
        for server in bed.servers:
            bed[server].environment["OPENCLP_FENCE_PATH"] = str(directory)
        self._end = socket.socket(socket.AF_UNIX)
        self._end.bind(path)
        os.chmod(path, 0o777)
        self._end.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def shots(self) -> list[str]:
        """Servers that were switched off, in order."""
        return [server for action, server in self.log if action == "off"]

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._end.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.settimeout(5)
                client.sendall(self._answer(client.makefile().readline().split()).encode() + b"\n")

    def _answer(self, words: list[str]) -> str:
        action, server, password = words
        if password != PASSWORD:
            return "wrong password"
        self.log.append((action, server))
        if action == "status":
            return "on" if self.bed[server].on else "off"
        if server in self.broken:
            return "the switch is broken"
        self.bed.power_off(server)
        return "ok"


def devices(servers: tuple[str, ...]) -> str:
    """One for all, in clp.conf below /root/openclp."""
    targets = "".join(f'<server name="{s}"><parameters><plug>{s}</plug></parameters></server>' for s in servers)
    return (
        '<fence name="switch"><agent>fence_bed</agent><timeout>20</timeout>'
        f"<parameters><password>{PASSWORD}</password></parameters>{targets}</fence>"
    )
