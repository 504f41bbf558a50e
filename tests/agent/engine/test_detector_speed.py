"""The short ways of the detector: what it leaves out changes no verdict, no deadline and no beat."""

from __future__ import annotations

from random import Random

import pytest

from agent.engine.detector import Detector
from agent.engine.verdicts import Verdict
from agent.wire.epoch import Epoch
from agent.wire.heartbeat import Packet

NAMES = ("a", "b", "c")
INTERVAL, TIMEOUT = 0.2, 1.0


class Thorough(Detector):
    """Looks at everything each time."""

    def judge(self, now: float) -> list[Verdict]:
        self._settled_until = float("-inf")
        return super().judge(now)


def detectors(kind: type[Detector], majority: bool) -> dict[str, Detector]:
    return {name: kind(name, NAMES, ["lan0", "lan1"], INTERVAL, TIMEOUT, majority, 0.0) for name in NAMES}


def story(kind: type[Detector], majority: bool, seed: int) -> list[tuple[float, str, object]]:
    """Beats that come, get lost, come late and twice; a pause; words that change. All that anybody concludes."""
    random = Random(seed)
    them = detectors(kind, majority)
    told: list[tuple[float, str, object]] = []
    flying: list[tuple[float, int, str, Packet, int]] = []
    next_beat = {name: random.random() * INTERVAL for name in NAMES}
    asleep = dict.fromkeys(NAMES, 0.0)
    loss, late, dead, count, now = 0.0, 0.0, "", 0, 0.0
    while now < 30.0:
        waits = [at for at, *_ in flying] + [max(next_beat[n], asleep[n]) for n in NAMES if n != dead]
        waits += [max(them[n].next_deadline(), asleep[n]) for n in NAMES if n != dead]
        now = max(now, min(waits))
        if random.random() < 0.02:
            loss, late = random.choice([0.0, 0.0, 0.3, 0.9]), random.choice([0.0, 0.05, 1.5])
            dead = random.choice(["", "", *NAMES])
            asleep[random.choice(NAMES)] = now + random.choice([0.0, 0.3, 2.0])
            them[random.choice(NAMES)].say(Epoch(random.randint(1, 3), 0), "online", NAMES)
        for name, detector in them.items():
            if name == dead or asleep[name] > now:
                continue
            if next_beat[name] <= now:
                next_beat[name] = now + INTERVAL
                packet = detector.beat(now)
                told.append((now, name, packet))
                for peer in NAMES:
                    for path in (0, 1):
                        if peer != name and random.random() >= loss:
                            count += 1
                            flying.append((now + 0.001 + random.random() * late, count, peer, packet, path))
            heard = [entry for entry in flying if entry[0] <= now and entry[2] == name]
            flying = [entry for entry in flying if entry not in heard]
            stirred = [detector.heard(packet, path, at) for at, _, _, packet, path in sorted(heard)]
            if any(stirred) or detector.next_deadline() <= now:
                told.append((now, name, tuple(detector.judge(now))))
                told.append((now, name, detector.next_deadline()))
    return told


@pytest.mark.slow
@pytest.mark.parametrize("majority", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_verdicts_deadlines_and_beats_are_those_of_a_thorough_detector(seed: int, majority: bool) -> None:
    quick, thorough = story(Detector, majority, seed), story(Thorough, majority, seed)

    assert len(quick) > 1000
    assert quick == thorough


def test_nothing_is_looked_at_while_nothing_can_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    them = detectors(Detector, True)
    looked: list[float] = []
    monkeypatch.setattr(Detector, "_judge_peer", _counting(looked))
    now = 0.0
    for _ in range(50):
        packets = {name: detector.beat(now) for name, detector in them.items()}
        for name, detector in them.items():
            stirred = [detector.heard(packets[peer], path, now) for peer in NAMES if peer != name for path in (0, 1)]
            if any(stirred) or detector.next_deadline() <= now:
                detector.judge(now)
        now += INTERVAL

    assert len(looked) < 0.7 * 50 * 3 * 2


def _counting(looked: list[float]):  # type: ignore[no-untyped-def]
    judge = Detector._judge_peer

    def counted(self: Detector, peer: object, now: float, *rest: object) -> float:
        looked.append(now)
        return judge(self, peer, now, *rest)  # type: ignore[arg-type]

    return counted
