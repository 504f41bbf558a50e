"""From clp.conf to what a mirror process is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Activation, Cluster, Device, Group, Resource, Server
from agent.daemon.mirror_process import left_behind
from agent.daemon.mirror_settings import settings_of
from agent.daemon.mirrors import here
from agent.mirrord.settings import Connect

STEP = Activation(timeout_s=5, retry=0)
KEY = b"a key of more than enough bytes"
VALUES = {
    "parameters/nmppath": "/dev/NMP1", "parameters/diskdev/dppath": "/dev/sdb2",
    "parameters/diskdev/cppath": "/dev/sdb1", "parameters/fs": "ext4", "parameters/mount/point": "/mnt/md1",
    "parameters/netdev@0/device": "400", "parameters/netdev@0/priority": "1", "parameters/netdev@0/mdcname": "slow",
    "parameters/netdev@1/device": "401", "parameters/netdev@1/priority": "0", "parameters/netdev@1/mdcname": "fast",
}  # fmt: skip


def server(number: int, *, connects: int = 2) -> Server:
    return Server(
        name=f"server{number}", priority=number - 1,
        devices=tuple(Device(id=400 + n, type="mdc", info=f"10.0.{n}.{number}") for n in range(connects)),
    )  # fmt: skip


def cluster(*servers: Server, policy: tuple[str, ...] = ("server1", "server2"), **values: str) -> Cluster:
    more = {f"parameters/mddriver/{path.replace('_', '/')}": text for path, text in values.items()}
    return Cluster(
        name="c", servers=servers or (server(1), server(2)),
        groups=(Group(name="g1", resources=("md1",), policy=policy),),
        resources=(Resource(name="md1", type="md", activation=STEP, deactivation=STEP, values={**VALUES, **more}),),
    )  # fmt: skip


def made(found: Cluster, me: str = "server1"):  # type: ignore[no-untyped-def]
    return settings_of(found, me, found.resource("md1"), key=KEY, run="/run/c", boot="b")


def test_addresses_and_times_of_both_servers():
    settings = made(cluster())

    assert (settings.mirror, settings.peer, settings.device, settings.port) == ("md1", "server2", "/dev/NMP1", 29051)
    assert settings.connects == (
        Connect(name="fast", own="10.0.1.1", peer="10.0.1.2", priority=0),
        Connect(name="slow", own="10.0.0.1", peer="10.0.0.2", priority=1),
    )
    assert (settings.silent_s, settings.keepalive_s, settings.limit_bytes_s, settings.asynchronous) == (3, 1, 0, False)
    assert made(cluster(), "server2").connects[0] == Connect(name="fast", own="10.0.1.2", peer="10.0.1.1", priority=0)


def test_what_the_file_says_counts():
    settings = made(cluster(
        hbinterval="6", port="29060", syncmode="0", bandlimit_mode="1", bandlimit_limit="100", compress="3",
        crypto_use="1", crypto_keyfile="/etc/md.key", historymax="7",
    ))  # fmt: skip

    assert (settings.silent_s, settings.keepalive_s, settings.port) == (6, 1, 29060)
    assert (settings.asynchronous, settings.limit_bytes_s, settings.compress) == (True, 100 << 10, 3)
    assert (settings.encrypt, settings.key_file, settings.history_bytes) == (True, "/etc/md.key", 7 << 20)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (cluster(server(1), server(2, connects=1)), "server2 has no device 401"),
        (cluster(server(1), server(2), server(3), policy=("server1", "server2", "server3")), "exactly two servers"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_started(found: Cluster, why: str):
    settings, wrong = here(found, "server1", KEY, "/run/c")

    assert settings == {}
    assert why in wrong["md1"]


def test_server_without_a_disk_has_nothing_to_do():
    assert here(cluster(server(1), server(2), server(3)), "server3", KEY, "/run/c") == ({}, {})


def test_mirror_that_is_not_configured_any_more_is_found(tmp_path: Path):
    import msgspec

    old = replace(made(cluster()), run=str(tmp_path))
    (tmp_path / "mirror-md1.json").write_bytes(msgspec.json.encode(old))
    (tmp_path / "mirror-md2.json").write_bytes(b"rubbish")

    assert left_behind(tmp_path, {"md1"}) == {}
    assert left_behind(tmp_path, set()) == {"md1": old}
