"""Parts of reports: what is told of a change makes the same report where it arrives."""

from __future__ import annotations

import random

import msgspec
import pytest

from agent.wire.report import GapReport, GroupReport, MonitorReport, PathReport, Report, VoteReport
from agent.wire.report_part import Part, part_of, version_after, version_of, with_part

GROUPS = {name: GroupReport(state="Online") for name in ("g1", "g2", "g3")}
BEFORE = Report(server="server1", incarnation=3, seq=7, members=("server1",), groups=GROUPS, detail="calm")


def arrived(old: Report, new: Report) -> msgspec.Struct:
    return msgspec.json.decode(msgspec.json.encode(part_of(old, new)), type=Part)


def test_only_the_object_that_changed_is_told():
    after = msgspec.structs.replace(BEFORE, seq=8, groups={**GROUPS, "g2": GroupReport(state="Offline Pending")})
    assert part_of(BEFORE, after) == {"seq": 8, "groups": {"g2": GroupReport(state="Offline Pending")}}


def test_what_did_not_change_stays_the_same_object():
    after = msgspec.structs.replace(BEFORE, seq=8, groups={**GROUPS, "g2": GroupReport()})
    made = with_part(BEFORE, arrived(BEFORE, after))
    assert made == after
    assert made.groups["g1"] is BEFORE.groups["g1"]
    assert made.monitors is BEFORE.monitors


def test_what_is_gone_or_back_at_its_default_is_told():
    after = msgspec.structs.replace(BEFORE, seq=8, groups={"g1": GROUPS["g1"]}, detail="", members=())
    assert with_part(BEFORE, arrived(BEFORE, after)) == after


def test_version_is_known_before_the_parts_are_put_together():
    after = msgspec.structs.replace(BEFORE, seq=8, heard=2)
    assert version_after(version_of(BEFORE), arrived(BEFORE, after)) == version_of(after) == (3, 8, 2)


def test_a_part_with_a_wrong_word_is_refused():
    with pytest.raises(msgspec.ValidationError, match="state"):
        msgspec.json.decode(b'{"groups":{"g1":{"state":"Well"}}}', type=Part)


@pytest.mark.parametrize("seed", range(20))
def test_any_two_reports_make_each_other(seed: int):
    dice = random.Random(seed)

    def some() -> Report:
        names = [name for name in ("a", "b", "c", "d") if dice.random() < 0.6]
        gaps = {name: GapReport(p50_ms=float(dice.randrange(3))) for name in names}
        return Report(
            server="s", incarnation=1, seq=dice.randrange(9), heard=dice.randrange(3),
            groups={name: GroupReport(serial=dice.randrange(2)) for name in names}, hears=gaps,
            monitors={name: MonitorReport(restarts=dice.randrange(2)) for name in names},
            paths={name: {"lan": PathReport(state="Normal", gaps=gap)} for name, gap in gaps.items()},
            resolvers=dict.fromkeys(names, bool(dice.randrange(2))), acts=bool(dice.randrange(2)),
            votes=VoteReport(voters=tuple(names)) if dice.randrange(2) else None, lost=tuple(names[:1]),
        )  # fmt: skip

    first, second = some(), some()
    assert with_part(first, arrived(first, second)) == second
    assert with_part(second, arrived(second, first)) == first
