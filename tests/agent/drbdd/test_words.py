"""What DRBD says, read from output that was recorded on real computers."""

from __future__ import annotations

import pytest

from agent.drbdd.words import Generations, Seen, generations_of, out_of_sync_of, seen_of, version_of
from tests.agent.drbdd import recorded

MIB = 1 << 20
BEFORE, NOW = "117E99D8EAB8898E", "835925846F280C00"


def fields(seen, *names):
    return tuple(getattr(seen, name) for name in names)


def test_mirrored_primary_is_read_whole():
    assert seen_of(recorded.MIRRORED) == Seen(
        there=True, role="Primary", disk="UpToDate", size=128 * MIB, connection="Connected", replication="Established",
        peer_role="Secondary", peer_disk="UpToDate",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "role", "disk", "connection", "peer_role", "peer_disk", "suspended", "out_of_sync"),
    [
        (recorded.FOLLOWING, "Secondary", "UpToDate", "Connected", "Primary", "UpToDate", "no", 0),
        (recorded.ALONE, "Primary", "UpToDate", "Connecting", "Unknown", "Outdated", "no", 8 << 10),
        (recorded.FROZEN, "Primary", "UpToDate", "Connecting", "Unknown", "DUnknown", "fencing", 0),
        (recorded.FROZEN_DISKLESS, "Primary", "Diskless", "Connecting", "Unknown", "DUnknown", "fencing", 0),
        (recorded.OUTDATED, "Secondary", "Outdated", "Connecting", "Unknown", "DUnknown", "no", 0),
        (recorded.AFTER_RESTART, "Secondary", "Consistent", "Connecting", "Unknown", "DUnknown", "no", 8192 << 10),
        (recorded.STAND_ALONE, "Primary", "UpToDate", "StandAlone", "Unknown", "DUnknown", "no", 0),
    ],
)
def test_states_are_told_apart(text, role, disk, connection, peer_role, peer_disk, suspended, out_of_sync):
    seen = seen_of(text)

    names = ("there", "size", "role", "disk", "connection", "peer_role", "peer_disk", "suspended", "out_of_sync")
    expected = (True, 128 * MIB, role, disk, connection, peer_role, peer_disk, suspended, out_of_sync)
    assert fields(seen, *names) == expected


@pytest.mark.parametrize(
    ("text", "connected", "equal", "frozen", "behind"),
    [
        (recorded.MIRRORED, True, True, False, False),
        (recorded.FOLLOWING, True, True, False, False),
        (recorded.ALONE, False, False, False, True),
        (recorded.FROZEN, False, False, True, False),
        (recorded.STAND_ALONE, False, False, False, False),
    ],
)
def test_what_follows_from_a_state(text, connected, equal, frozen, behind):
    assert fields(seen_of(text), "connected", "equal", "frozen", "peer_is_behind") == (connected, equal, frozen, behind)


@pytest.mark.parametrize(
    ("replication", "is_source", "is_target", "verifies"),
    [
        ("SyncSource", True, False, False), ("PausedSyncS", True, False, False), ("WFBitMapS", True, False, False),
        ("SyncTarget", False, True, False), ("PausedSyncT", False, True, False), ("WFSyncUUID", False, True, False),
        ("VerifyS", False, False, True), ("VerifyT", False, False, True), ("Established", False, False, False),
    ],
)  # fmt: skip
def test_direction_of_a_copy(replication, is_source, is_target, verifies):
    seen = seen_of(recorded.MIRRORED.replace("Established", replication))

    assert fields(seen, "is_source", "is_target", "verifies") == (is_source, is_target, verifies)
    assert seen.equal is not (is_source or is_target)


@pytest.mark.parametrize(("said", "done"), [("37.50", 37.5), ("100.00", 100.0), ("-nan", None), ("inf", None)])
def test_progress_is_a_number_or_unknown(said, done):
    copying = recorded.MIRRORED.replace("Established", "SyncSource")
    text = copying.replace("UpToDate resync", f"Inconsistent done:{said} resync")

    assert fields(seen_of(text), "done", "peer_disk") == (done, "Inconsistent")


def test_handshake_is_not_taken_for_an_agreement():
    """Version 8.4 says "Connected" as soon as the other one is heard, also when it is about to find a split brain."""
    seen = seen_of(recorded.MIRRORED.replace("Established", "Off"))

    assert fields(seen, "connection", "connected", "agreeing", "equal") == ("Connected", False, True, False)


def test_version_9_names_the_other_server_and_says_more():
    text = (
        "md1 node-id:0 role:Primary suspended:no force-io-failures:no\n"
        "    write-ordering:flush\n"
        "  volume:0 minor:29051 disk:UpToDate backing_dev:/dev/sdb1 quorum:yes open:no\n"
        "      size:131072 read:0 written:8 al-writes:9 bm-writes:0 upper-pending:0\n"
        "      lower-pending:0 al-suspended:no blocked:no\n"
        "  server2 node-id:1 connection:Connected role:Secondary tls:no congested:no\n"
        "      ap-in-flight:0 rs-in-flight:0\n"
        "    volume:0 replication:SyncSource peer-disk:Inconsistent done:50.00\n"
        "        resync-suspended:no\n"
        "        received:0 sent:8 out-of-sync:65536 pending:0 unacked:0 dbdt1:4.00 eta:0\n"
    )

    assert seen_of(text) == Seen(
        there=True, role="Primary", disk="UpToDate", size=128 * MIB, connection="Connected", replication="SyncSource",
        peer_role="Secondary", peer_disk="Inconsistent", out_of_sync=64 * MIB, done=50.0,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n\n", "# No currently configured DRBD found.\n", recorded.NO_CONNECTION])
def test_what_is_no_state_is_no_resource(text):
    assert seen_of(text, generations_of(recorded.GI_EQUAL)) == Seen(generations=generations_of(recorded.GI_EQUAL))


def test_torn_output_makes_nobody_equal():
    whole = recorded.MIRRORED.index("peer-disk:UpToDate")

    assert not any(seen_of(recorded.MIRRORED[:end]).equal for end in range(whole))


def test_generations_are_named_without_the_bit_of_the_primary():
    alone, equal = generations_of(recorded.GI_ALONE), generations_of(recorded.GI_EQUAL)

    assert alone == Generations(current=NOW, bitmap=BEFORE, history=(BEFORE,), peer_outdated=True)
    assert equal == Generations(current=NOW, history=("117F99D8EAB8898E", BEFORE))
    assert generations_of(recorded.GI_OUTDATED) == Generations(current=BEFORE)
    assert alone.constructed
    assert alone.current == equal.current


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000000000000004:0000000000000000:0000000000000000:0000000000000000:0:0:0:0:0:0:0\n",
        "0000000000000005:0000000000000000:0000000000000000:0000000000000000:0:0:0:0:0:0:0\n",
        "835925846F280C01:117E99D8EAB8898F\n",
        "No valid meta data found\n",
    ],
    ids=("nothing", "just created", "just created, primary", "torn", "a sentence"),
)
def test_disk_without_data_has_no_generation(text):
    assert not generations_of(text).constructed


def test_out_of_sync_is_that_of_our_device_alone():
    other = " 7: cs:StandAlone ro:Primary/Unknown ds:UpToDate/DUnknown   r-----\n    ns:0 wo:f oos:48\n"
    proc = recorded.PROC.replace("oos:0", "oos:16") + other

    assert [out_of_sync_of(proc, minor) for minor in (1, 7, 17)] == [16 << 10, 48 << 10, 0]


@pytest.mark.parametrize(
    ("text", "version"), [(recorded.PROC, (8, 4)), ("9.2.13\n", (9, 2)), ("", (0, 0)), ("unknown", (0, 0))]
)
def test_version(text, version):
    assert version_of(text) == version
