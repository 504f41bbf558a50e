"""The watchdog rule by a clock on paper: when a daemon is killed, started anew, and given up."""

from __future__ import annotations

import pytest

from agent.daemon.watch import STARTUP_S, Watch


def well(grace_s: float = 4.0, now: float = 100.0) -> Watch:
    """A daemon that pets each second since `now - 10`."""
    watch = Watch(grace_s, now - 10)
    assert watch.judge(now - 10) == "start"
    watch.started(now - 10)
    for second in range(-9, 1):
        watch.petted(now + second)
    return watch


def steps(watch: Watch, start: float, end: float, *, restart_s: float | None = None) -> list[tuple[float, str]]:
    """Judge four times a second; what is killed ends; what starts pets after `restart_s` (None: never, and ends)."""
    found = []
    pets_at = None
    for quarter in range(round(start * 4), round(end * 4) + 1):
        now = quarter / 4
        if pets_at is not None and now >= pets_at:
            watch.petted(now)
        step = watch.judge(now)
        if step:
            found.append((now, step))
        if step == "kill":
            watch.ended(now)
        elif step == "start":
            watch.started(now)
            if restart_s is None:
                watch.ended(now)
            else:
                pets_at = now + restart_s
        elif step == "release":
            watch.release_done(now, ok=True)
            return found
    return found


def test_well_daemon_is_left_alone() -> None:
    watch = well()
    for second in range(101, 200):
        assert watch.judge(second) == ""
        watch.petted(second)


def test_silence_of_half_the_grace_time_is_a_hang() -> None:
    watch = well()

    assert watch.judge(102.0) == ""
    assert steps(watch, 102.25, 110, restart_s=0.5) == [(102.25, "kill"), (102.25 + 0.25, "start")]
    assert not watch.released


def test_death_is_mended_at_once_and_moves_nothing() -> None:
    watch = well()
    watch.ended(100.5)

    assert watch.judge(100.5) == "start"
    watch.started(100.5)
    watch.petted(101.5)
    assert watch.judge(101.75) == ""
    watch.petted(102.5)
    watch.petted(103.5)
    for second in range(104, 130):
        watch.petted(second)
        assert watch.judge(second) == ""


def test_daemon_that_does_not_come_back_is_released_after_the_grace_time() -> None:
    watch = well()
    watch.ended(100.5)
    found = steps(watch, 100.5, 120)

    # It was well last at 100, with its last pet.
    assert found[-1] == (104.25, "release")
    assert 4 <= len(found) - 1 <= 12  # attempts: several, and not without a pause


def test_flapping_daemon_is_not_well() -> None:
    watch = well()
    now = 100.0
    for _ in range(20):  # It pets once, then dies, again and again.
        watch.ended(now)
        now += 0.25
        if watch.judge(now) == "release":
            break
        watch.started(now)
        watch.petted(now + 0.25)
        now += 0.5

    assert 104 < now < 106


def test_released_daemon_is_tried_again_slowly_and_welcomed() -> None:
    watch = well()
    watch.ended(100.5)
    steps(watch, 100.5, 120)
    assert watch.released

    starts = [at for at, step in steps(watch, 105, 165) if step == "start"]
    assert {b - a for a, b in zip(starts[-4:], starts[-3:], strict=False)} == {10.0}
    watch.started(170)
    watch.petted(171)
    watch.petted(173)
    assert not watch.released


def test_release_that_failed_is_tried_again_after_the_next_grace_time() -> None:
    watch = well()
    watch.ended(100.5)
    while watch.judge(104.25) != "release":
        watch.started(104.25)
        watch.ended(104.25)
    watch.release_done(105, ok=False)

    found = steps(watch, 105, 120)
    assert found[-1] == (109.25, "release")


def test_first_start_has_more_time() -> None:
    watch = Watch(4.0, 100.0)
    watch.started(100.0)

    assert watch.judge(100 + STARTUP_S) == ""
    assert watch.judge(100.25 + STARTUP_S) == "kill"


@pytest.mark.parametrize("starved_s", [0.0, 0.8])
def test_daemon_that_got_no_cpu_is_excused(starved_s: float) -> None:
    watch = well()
    for tenth in range(1, 41):  # Four seconds without a pet, 80 % of them spent waiting for a CPU.
        watch.excuse(starved_s / 10)
        assert watch.judge(100 + tenth / 10) in ("", "kill")

    assert watch.judge(104.0) == ("" if starved_s else "kill")


def test_excuses_have_an_end() -> None:
    watch = well()
    now = 100.0
    while watch.judge(now) == "":
        now += 1
        watch.excuse(1.0)

    assert 140 < now < 150


def test_excuses_of_healthy_times_are_forgotten() -> None:
    watch = well()
    for second in range(101, 300):
        watch.excuse(0.9)
        watch.petted(second)
    watch.excuse(1.0)

    assert watch.judge(302) == ""
    assert watch.judge(302.5) == "kill"
