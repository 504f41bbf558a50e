"""What a mirror process is told at its start, and where it keeps its sockets."""

from __future__ import annotations

import os

import msgspec

GRAIN_BYTES = 64 << 10  # one bit of the bitmap; what is copied in one piece


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """One mirror connect: own and other address, best priority (lowest) first."""

    name: str
    own: str
    peer: str
    priority: int = 0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """JSON in the file that the process is started with; mode 0600, since it has the key."""

    mirror: str  # md1
    engine: str = ""  # whose process serves it: "" agent.mirrord, "drbd" agent.drbdd
    cluster: str
    server: str
    peer: str
    key: str  # hex
    data: str  # path of the data partition
    partition: str  # path of the cluster partition
    size: int = 0  # bytes of the mirror disk; 0: as large as the data partition
    run: str  # directory of sockets and of the FUSE file
    device: str = ""  # the name for applications: /dev/NMP1; "" none
    boot: str  # names the time since this machine was switched on
    connects: tuple[Connect, ...] = ()
    port: int = 29051
    grain_bytes: int = GRAIN_BYTES
    asynchronous: bool = False
    queue_most: int = 2048  # writes that wait, asynchronous
    history: str = ""  # directory for writes that wait, asynchronous
    history_bytes: int = 0  # 0: no limit
    limit_bytes_s: int = 0  # of what is sent, asynchronous; 0: none
    compress: int = 0  # 1 resynchronization, 2 writes, 3 both
    encrypt: bool = False
    check_data: bool = False  # sign the data of frames too, not only their heads (head of frames.py)
    key_file: str = ""  # of the encryption; "": made from the key of the cluster
    connect_s: float = 10.0
    send_s: float = 30.0
    ack_s: float = 100.0  # an acknowledgement that does not come for so long ends the connection
    keepalive_s: float = 1.0
    silent_s: float = 3.0  # a connection that is silent for so long is dead

    @property
    def control(self) -> str:
        return os.path.join(self.run, f"mirror-{self.mirror}.sock")

    @property
    def holder(self) -> str:
        return os.path.join(self.run, f"mirror-{self.mirror}.holder")

    @property
    def trust(self) -> str:
        """What a killed process knew of its disk (trust.py)."""
        return os.path.join(self.run, f"mirror-{self.mirror}.disk")

    @property
    def mount(self) -> str:
        return os.path.join(self.run, "mirror", self.mirror)


def read(path: str) -> Settings:
    """ValueError with the place of what is wrong."""
    with open(path, "rb") as file:
        return msgspec.json.decode(file.read(1 << 20), type=Settings)
