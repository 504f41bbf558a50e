"""Where the agent keeps its files, each place movable by an environment variable; nobody else knows these names.

Standard library only and small: the supervisor imports it too.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import NamedTuple

#: The supervisor starts the daemon with these; a daemon started by hand has none of them.
PET_FD = "OPENCLP_PET_FD"  # pipe: one byte each second while the daemon is healthy
NEW_START = b"R"  # through that pipe: the service is stopped, clpd shall begin anew with the clp.conf of now
LEASE_FD = "OPENCLP_LEASE_FD"  # memory: when a majority has confirmed to hear this server
INCARNATION = "OPENCLP_INCARNATION"
RESTART_CAUSE = "OPENCLP_RESTART_CAUSE"  # a sentence: why there is a new daemon, "" at the first start
READ_AGAIN = "OPENCLP_READ_AGAIN"  # "1": clpd has just read clp.conf again
DRILL = "OPENCLP_DRILL"  # JSON: how the drill before this start has ended
SERVICE = "OPENCLP_SERVICE"  # "stopped": this start waits for clpcl -s
FENCE = "OPENCLP_FENCE"  # reboot | report | none: overrides what a lost lease does (demonstrations, tests)

#: The daemon ends with this when another configuration is in place: clpd reads it and starts the next one at once.
EXIT_SWITCH = 76

KEY_MIN_BYTES, KEY_MAX_BYTES = 16, 4096


class Paths(NamedTuple):
    etc: str
    state: str
    run: str
    log: str

    @property
    def config(self) -> str:
        return os.path.join(self.etc, "clp.conf")

    @property
    def scripts(self) -> str:
        return os.path.join(self.etc, "scripts")

    @property
    def key(self) -> str:
        return os.path.join(self.etc, "cluster.key")

    @property
    def manager(self) -> str:
        return os.path.join(self.etc, "manager.json")

    @property
    def server(self) -> str:
        return os.path.join(self.etc, "server")

    @property
    def state_file(self) -> str:
        return os.path.join(self.state, "state.json")

    @property
    def incarnation(self) -> str:
        return os.path.join(self.state, "incarnation")

    @property
    def fences(self) -> str:
        return os.path.join(self.state, "fences.json")

    @property
    def fence_agents(self) -> str:
        return os.path.join(self.state, "fence-agents")

    @property
    def runs(self) -> str:
        return os.path.join(self.state, "runs")

    @property
    def agent_socket(self) -> str:
        return os.path.join(self.run, "agent.sock")

    @property
    def heartbeat_socket(self) -> str:
        return os.path.join(self.run, "heartbeat.sock")

    @property
    def arbiter_socket(self) -> str:
        return os.path.join(self.run, "arbiter.sock")

    @property
    def confirm_socket(self) -> str:
        return os.path.join(self.run, "confirm.sock")

    @property
    def lock(self) -> str:
        return os.path.join(self.run, "clpd.lock")

    @property
    def agent_log(self) -> str:
        return os.path.join(self.log, "agent.log")

    @property
    def supervisor_log(self) -> str:
        return os.path.join(self.log, "clpd.log")

    @property
    def events(self) -> str:
        return os.path.join(self.log, "events.jsonl")

    def make(self) -> None:
        """Create what is missing. Only root (the agent's user) looks into state and sockets."""
        for directory, mode in ((self.etc, 0o755), (self.state, 0o700), (self.run, 0o755), (self.log, 0o750)):
            os.makedirs(directory, mode=mode, exist_ok=True)

    def own_name(self) -> str:
        """This server's name in clp.conf: the file `server`, else the host name without its domain."""
        try:
            with open(self.server, encoding="utf-8") as file:
                name = file.read(256).strip()
        except FileNotFoundError:
            name = ""
        return name or socket.gethostname().split(".")[0]

    def read_key(self) -> bytes:
        """The cluster key, without the newline of an editor. ValueError says what is wrong and how to mend it."""
        try:
            with open(self.key, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                key = file.read(KEY_MAX_BYTES + 1).strip()
        except FileNotFoundError:
            raise ValueError(
                f"{self.key} is missing. Make one (head -c 32 /dev/urandom | base64 > {self.key}) and copy it "
                "to all servers."
            ) from None
        if mode & 0o077:
            raise ValueError(f"{self.key} can be read by others than its owner. chmod 600 {self.key}.")
        if not KEY_MIN_BYTES <= len(key) <= KEY_MAX_BYTES:
            raise ValueError(f"{self.key} must hold {KEY_MIN_BYTES} to {KEY_MAX_BYTES} bytes, it holds {len(key)}.")
        return key


def paths(environ: Mapping[str, str] = os.environ) -> Paths:
    return Paths(
        environ.get("OPENCLP_ETC") or "/etc/openclp",
        environ.get("OPENCLP_STATE") or "/var/lib/openclp",
        environ.get("OPENCLP_RUN") or "/run/openclp",
        environ.get("OPENCLP_LOG") or "/var/log/openclp",
    )
