"""DRBD's states: what people are told of them, and what an order to be active comes to in each."""

from __future__ import annotations

import msgspec
import pytest

from agent.drbdd.mind import Known, Wanted, act_of, color_of, doubt_of, mode_of, peer_color_of, relation_of
from agent.drbdd.words import Generations, Seen, generations_of, seen_of
from agent.wire.epoch import Epoch
from tests.agent.drbdd import recorded

EQUAL, ALONE, BEHIND = map(generations_of, (recorded.GI_EQUAL, recorded.GI_ALONE, recorded.GI_OUTDATED))
OLD, NOW, NEWER = Epoch(1, 0), Epoch(2, 0), Epoch(2, 1)
PARTED = "Both servers have gone on without the other one."
NEW, WHOLE = "The mirror was not constructed yet.", "The disk of a is no whole copy: it was being copied to."
GONE_ON = "b has gone on without a; its data is newer."
CANNOT_KNOW = "a cannot know whether b has gone on without it."
NEWER_THERE, ACTIVE_THERE = "b has the newer data.", "It is active on b."
NO_DISK = "DRBD on a has no disk to use: it is Diskless."
AGREEING = "a and b are just finding out what they have."
TO_ASK = "b has to say first that it is outdated."


def known(**changes):
    return Known("a", "b", epoch=NOW)._replace(**changes)


def there(text, generations=EQUAL, **changes):
    return msgspec.structs.replace(seen_of(text, generations), **changes)


MIRRORED = there(recorded.MIRRORED, role="Secondary")
FOLLOWING = there(recorded.FOLLOWING)
SOURCE = msgspec.structs.replace(MIRRORED, replication="SyncSource", peer_disk="Inconsistent")
TARGET = msgspec.structs.replace(MIRRORED, replication="SyncTarget", disk="Inconsistent")
VERIFIED = msgspec.structs.replace(MIRRORED, replication="VerifyS")
LOST = there(recorded.FROZEN, role="Secondary", suspended="no")  # equal once, not connected
FROZEN = there(recorded.FROZEN)
PEER_OUT = there(recorded.ALONE, ALONE)
OUTDATED = there(recorded.OUTDATED, BEHIND)
RESTARTED = there(recorded.AFTER_RESTART)
TORN_COPY = msgspec.structs.replace(LOST, disk="Inconsistent")
DISKLESS = msgspec.structs.replace(LOST, disk="Diskless")
PEER_DISKLESS = msgspec.structs.replace(MIRRORED, peer_disk="Diskless")
OWN_DISKLESS = msgspec.structs.replace(MIRRORED, disk="Diskless")
HANDSHAKE = msgspec.structs.replace(MIRRORED, replication="Off")
NEW_MET = msgspec.structs.replace(MIRRORED, disk="Inconsistent", peer_disk="Inconsistent", generations=Generations())
NEW_ALONE = msgspec.structs.replace(LOST, disk="Inconsistent", generations=Generations())
APART = there(recorded.STAND_ALONE, ALONE, role="Secondary")


@pytest.mark.parametrize(
    ("seen", "about", "relation", "mode", "color", "peer_color"),
    [
        (MIRRORED, {}, "equal", "off", "GREEN", "GREEN"),
        (MIRRORED, {"active": True}, "equal", "mirrored", "GREEN", "GREEN"),
        (VERIFIED, {"active": True}, "equal", "mirrored", "GREEN", "GREEN"),
        (SOURCE, {"active": True}, "source", "copying", "GREEN", "YELLOW"),
        (TARGET, {}, "target", "off", "YELLOW", "GREEN"),
        (FROZEN, {"active": True}, "apart", "stalled", "GREEN", "GRAY"),
        (PEER_OUT, {"active": True}, "apart", "alone", "GREEN", "RED"),
        (PEER_OUT, {}, "apart", "off", "GREEN", "RED"),
        (LOST, {}, "apart", "off", "GRAY", "GRAY"),
        (LOST, {"in_sync": True}, "apart", "off", "GREEN", "GRAY"),
        (RESTARTED, {}, "apart", "off", "GRAY", "GRAY"),
        (OUTDATED, {}, "apart", "off", "RED", "GRAY"),
        (TORN_COPY, {}, "apart", "off", "RED", "GRAY"),
        (DISKLESS, {"in_sync": True}, "apart", "off", "RED", "GRAY"),
        (DISKLESS, {"active": True}, "apart", "alone", "RED", "GRAY"),
        (PEER_DISKLESS, {"active": True}, "apart", "alone", "GREEN", "RED"),
        (HANDSHAKE, {"active": True}, "apart", "alone", "GREEN", "GRAY"),
        (APART, {"parted": PARTED}, "foreign", "off", "RED", "RED"),
        (NEW_MET, {}, "foreign", "off", "GRAY", "RED"),
        (NEW_ALONE, {}, "apart", "off", "GRAY", "GRAY"),
        (Seen(), {}, "apart", "off", "GRAY", "GRAY"),
    ],
)  # fmt: skip
def test_what_people_are_told(seen, about, relation, mode, color, peer_color):
    of = known(**about)

    found = (relation_of(seen, of), mode_of(seen, of), color_of(seen, of), peer_color_of(seen, of))
    assert found == (relation, mode, color, peer_color)


@pytest.mark.parametrize(
    ("seen", "about", "doubt"),
    [
        (NEW_ALONE, {}, NEW),
        (NEW_MET, {"in_sync": True}, NEW),
        (APART, {"parted": PARTED, "in_sync": True}, PARTED),  # both have written down that the other one is behind
        (APART, {}, ""),
        (TORN_COPY, {"in_sync": True}, WHOLE),
        (OUTDATED, {"in_sync": True}, GONE_ON),
        (DISKLESS, {"in_sync": True}, NO_DISK),
        (PEER_OUT, {}, ""),
        (there(recorded.AFTER_RESTART, ALONE), {}, CANNOT_KNOW),
        (RESTARTED, {}, CANNOT_KNOW),
        (RESTARTED, {"in_sync": True}, ""),
        (LOST, {}, CANNOT_KNOW),
        (LOST, {"in_sync": True}, ""),
    ],
)
def test_doubt_names_its_reason(seen, about, doubt):
    assert doubt_of(seen, known(**about)) == doubt


@pytest.mark.parametrize(
    ("seen", "about", "act"),
    [
        (MIRRORED, {}, ("promote", "")),
        (VERIFIED, {}, ("promote", "")),
        (SOURCE, {}, ("promote", "")),
        (FOLLOWING, {}, ("wait", ACTIVE_THERE)),
        (msgspec.structs.replace(SOURCE, peer_role="Primary"), {}, ("wait", ACTIVE_THERE)),
        (TARGET, {"in_sync": True, "permitted": True}, ("wait", NEWER_THERE)),
        (HANDSHAKE, {"in_sync": True, "permitted": True}, ("wait", AGREEING)),
        (msgspec.structs.replace(HANDSHAKE, peer_disk="Diskless"), {"in_sync": True}, ("wait", AGREEING)),
        (NEW_MET, {}, ("wait", NEW)),
        (OWN_DISKLESS, {"in_sync": True}, ("wait", NO_DISK)),
        (PEER_DISKLESS, {"in_sync": True}, ("promote", "")),
        (PEER_DISKLESS, {}, ("wait", CANNOT_KNOW)),
        (msgspec.structs.replace(MIRRORED, peer_disk="Negotiating"), {"in_sync": True}, ("wait", AGREEING)),
        (msgspec.structs.replace(PEER_DISKLESS, disk="Consistent"), {"in_sync": True}, ("wait", AGREEING)),
        (msgspec.structs.replace(PEER_DISKLESS, peer_role="Primary"), {"in_sync": True}, ("wait", ACTIVE_THERE)),
        (LOST, {"in_sync": True}, ("ask", TO_ASK)),
        (LOST, {"in_sync": True, "permitted": True}, ("promote apart", "")),
        (LOST, {"permitted": True}, ("wait", CANNOT_KNOW)),
        (RESTARTED, {"permitted": True}, ("wait", CANNOT_KNOW)),
        (PEER_OUT, {}, ("promote apart", "")),
        (APART, {"parted": PARTED, "in_sync": True, "permitted": True}, ("wait", PARTED)),
        (OUTDATED, {"in_sync": True, "permitted": True}, ("wait", GONE_ON)),
        (TORN_COPY, {"in_sync": True, "permitted": True}, ("wait", WHOLE)),
        (DISKLESS, {"in_sync": True, "permitted": True}, ("wait", NO_DISK)),
        (NEW_ALONE, {"permitted": True}, ("wait", NEW)),
        (Seen(), {"permitted": True}, ("wait", NEW)),
    ],
)
def test_activation_with_the_other_side_in_the_cluster(seen, about, act):
    assert act_of(Wanted(NEWER), seen, known(**about)) == act


@pytest.mark.parametrize(
    ("seen", "about", "act"),
    [
        (LOST, {"in_sync": True}, ("promote apart", "")),
        (PEER_OUT, {}, ("promote apart", "")),
        (APART, {}, ("promote apart", "")),
        (LOST, {}, ("refuse", CANNOT_KNOW)),
        (RESTARTED, {"permitted": True}, ("refuse", CANNOT_KNOW)),
        (OUTDATED, {"in_sync": True}, ("refuse", GONE_ON)),
        (TORN_COPY, {"in_sync": True}, ("refuse", WHOLE)),
        (DISKLESS, {"in_sync": True}, ("refuse", NO_DISK)),
        (APART, {"parted": PARTED, "in_sync": True}, ("refuse", PARTED)),
        (NEW_ALONE, {}, ("refuse", NEW)),
        (Seen(), {"in_sync": True}, ("refuse", NEW)),
    ],
)
def test_activation_alone(seen, about, act):
    assert act_of(Wanted(NEWER, alone=True), seen, known(**about)) == act


@pytest.mark.parametrize("seen", [MIRRORED, FOLLOWING, SOURCE, TARGET, HANDSHAKE, NEW_MET, PEER_DISKLESS])
def test_nothing_is_taken_from_a_server_that_the_cluster_goes_on_without(seen):
    assert act_of(Wanted(NEWER, alone=True), seen, known(in_sync=True)) == ("part", "")


@pytest.mark.parametrize("connection", ["Unconnected", "Timeout", "BrokenPipe", "NetworkFailure", "Disconnecting"])
def test_connection_that_is_being_lost_is_ended_first(connection):
    seen = msgspec.structs.replace(LOST, connection=connection)

    assert act_of(Wanted(NEWER, alone=True), seen, known(in_sync=True)) == ("part", "")


@pytest.mark.parametrize("seen", [MIRRORED, FOLLOWING, TARGET, LOST, OUTDATED, TORN_COPY, APART, NEW_ALONE, FROZEN])
def test_force_goes_on_without_the_other_side(seen):
    of = known(parted=PARTED)

    assert act_of(Wanted(NOW, force=True), seen, of) == ("promote apart", "")
    assert act_of(Wanted(NOW, alone=True, force=True), seen, of) == ("promote apart", "")


@pytest.mark.parametrize("seen", [MIRRORED, LOST, PEER_OUT])
@pytest.mark.parametrize("wanted", [Wanted(OLD), Wanted(OLD, alone=True), Wanted(OLD, alone=True, force=True)])
def test_older_order_is_refused_whatever_it_says(seen, wanted):
    of = known(in_sync=True, permitted=True)

    assert act_of(wanted, seen, of) == ("refuse", "A newer activation is known here.")


def test_order_of_the_newest_activation_itself_holds():
    assert act_of(Wanted(NOW), MIRRORED, known()) == ("promote", "")
