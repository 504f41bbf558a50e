"""One mirror disk as the daemon keeps it, against a mirror process that the test plays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from agent.daemon import mirror as module
from agent.daemon.mirror import activation_epoch
from agent.daemon.mirror_orders import MirrorRefusedError
from agent.messages import mirrors as md
from agent.ports import DriverError
from agent.wire.epoch import Epoch
from tests.agent.daemon.mirrors import ALONE, EPOCH, SINCE, TOGETHER, Bench, bench

__all__ = ["bench"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.02)
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)
    monkeypatch.setattr(module, "_MEET_S", 0.1)


def test_a_later_activation_in_one_view_has_the_greater_number():
    assert activation_epoch(Epoch(7, 1), 3) < activation_epoch(Epoch(7, 1), 4) < activation_epoch(Epoch(7, 2), 1)
    assert activation_epoch(Epoch(7, 31), 1 << 39) < activation_epoch(Epoch(8, 0), 0)


async def test_view_is_told_when_it_changes_and_again_to_a_new_process(bench: Bench):
    bench.mirror.stand(TOGETHER)
    bench.mirror.stand(TOGETHER)
    await bench.until(lambda: len(bench.process.of("view")) == 1)
    (view,) = bench.process.of("view")
    assert (view["permitted"], view["since"]) == (None, list(SINCE))

    bench.mirror.stand(ALONE)
    await bench.until(lambda: len(bench.process.of("view")) == 2)
    assert bench.process.of("view")[1]["permitted"] == list(EPOCH)

    bench.process.down()
    await bench.until(lambda: bench.mirror.state is None)
    bench.process.orders.clear()
    bench.process.up()
    await bench.connected()
    await bench.until(lambda: bool(bench.process.of("view")))
    assert bench.process.of("view")[0]["permitted"] == list(EPOCH)


async def test_what_lets_it_go_on_alone_says_up_to_when_the_agent_answers_for_it(bench: Bench):
    bench.mirror.answers_until = lambda: 12.5
    bench.mirror.stand(ALONE)
    bench.mirror.outdated_there("g1")
    await bench.mirror.activate_here(EPOCH)
    await bench.until(lambda: bool(bench.process.of("outdated")))

    words = [order for op in ("view", "outdated", "activate") for order in bench.process.of(op)]
    assert [word["until"] for word in words] == [12.5] * 3


async def test_activation_that_came_too_late_is_ordered_anew(bench: Bench):
    """The process was held up: it refuses, and the agent answers for it again or does not."""
    words = iter([10.0, 20.0])
    bench.mirror.answers_until = lambda: next(words, 30.0)
    late = {"type": "refused", "why": "This process was held up."}
    bench.process.answers["activate"] = lambda order: late if order["until"] < 30.0 else bench.process.active()
    bench.mirror.stand(ALONE)

    assert (await bench.mirror.activate_here(EPOCH))[0] == "/dev/loop7"
    assert bench.noted(md.WAITS)


async def test_activation_gives_the_device(bench: Bench):
    bench.mirror.stand(TOGETHER)

    assert await bench.mirror.activate_here(EPOCH) == ("/dev/loop7", False)

    (order,) = bench.process.of("activate")
    assert (order["epoch"], order["since"], order["alone"], order["force"]) == (list(EPOCH), list(SINCE), False, False)
    assert bench.holder.did[-1] == "attach"


async def test_refusal_fails_with_its_sentence_and_the_remedy(bench: Bench):
    bench.process.now(doubt="Old.")
    bench.process.answers["activate"] = lambda _: {"type": "refused", "why": "A newer activation is known here."}
    bench.mirror.stand(TOGETHER)

    with pytest.raises(DriverError, match=r"A newer activation is known here; .*clpmdctrl --force md1"):
        await bench.mirror.activate_here(EPOCH)

    assert bench.noted(md.REFUSED)
    await bench.until(lambda: bool(bench.process.of("deactivate")))
    assert "attach" not in bench.holder.did


async def test_who_cannot_know_waits_for_the_other_server(bench: Bench):
    """Both were down, this one came first: it goes on as soon as the other one is there."""
    refuses = {"type": "refused", "why": "server1 cannot know whether server2 has gone on without it."}
    bench.process.answers["activate"] = lambda order: refuses if order["alone"] else bench.process.active()
    bench.mirror.stand(ALONE)
    work = asyncio.ensure_future(bench.mirror.activate_here(EPOCH))
    await bench.until(lambda: bool(bench.noted(md.WAITS)))
    assert not work.done()

    bench.mirror.stand(TOGETHER)

    assert (await work)[0] == "/dev/loop7"


async def test_refusal_that_the_other_server_overtakes_does_not_count(bench: Bench):
    """It was to go on alone; before its refusal is read, the other server is back, which has what lacks."""

    def answer(order: dict[str, Any]) -> dict[str, Any]:
        if not order["alone"]:
            return bench.process.active()
        bench.mirror.stand(TOGETHER)
        return {"type": "refused", "why": "server1 cannot know whether server2 has gone on without it."}

    bench.process.answers["activate"] = answer
    bench.mirror.stand(ALONE)

    assert (await bench.mirror.activate_here(EPOCH))[0] == "/dev/loop7"
    assert not bench.noted(md.REFUSED)


async def test_order_is_given_again_when_the_other_server_goes(bench: Bench):
    bench.process.answers["activate"] = lambda order: bench.process.active() if order["alone"] else None
    bench.mirror.stand(TOGETHER)
    work = asyncio.ensure_future(bench.mirror.activate_here(EPOCH))
    await bench.until(lambda: bool(bench.process.of("activate")))

    bench.mirror.stand(ALONE)

    assert (await work)[0] == "/dev/loop7"


async def test_first_start_constructs_once_both_have_met(bench: Bench):
    bench.process.now(constructed=False, relation="apart", doubt="The mirror was not constructed yet.")
    bench.process.answers["activate"] = lambda _: None

    def construct(order: dict[str, Any]) -> dict[str, Any]:
        waiting = bench.process.of("activate")[-1]["id"]
        bench.process.constructed()
        bench.process.say({**bench.process.active(), "id": waiting})
        return {"type": "done"}

    bench.process.answers["construct"] = construct
    bench.mirror.stand(TOGETHER)
    work = asyncio.ensure_future(bench.mirror.activate_here(EPOCH, full=False))
    await bench.until(lambda: bool(bench.process.of("activate")))
    assert not bench.process.of("construct")

    bench.process.now(relation="foreign")

    assert await work == ("/dev/loop7", True)
    assert [order["full"] for order in bench.process.of("construct")] == [False]


async def test_diverged_disks_are_not_waited_for(bench: Bench):
    bench.process.now(relation="foreign", doubt="Both servers have gone on without the other one.")
    bench.process.answers["activate"] = lambda _: None
    bench.mirror.stand(TOGETHER)

    with pytest.raises(DriverError, match="Both servers have gone on without the other one"):
        await bench.mirror.activate_here(EPOCH)


async def test_long_copy_to_this_side_is_left_to_the_other_server(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_COPY_S", 0.05)
    bench.process.now(relation="target", remaining_s=600.0)
    bench.process.answers["activate"] = lambda _: None
    bench.mirror.stand(TOGETHER)

    with pytest.raises(DriverError, match=r"600 s to go.*server2 can run it at once"):
        await bench.mirror.activate_here(EPOCH)


async def test_what_serves_elsewhere_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_SERVES_S", 0.05)
    bench.process.now(peer_active=True)
    bench.process.answers["activate"] = lambda _: None
    bench.mirror.stand(TOGETHER)

    with pytest.raises(DriverError, match="it is active on server2"):
        await bench.mirror.activate_here(EPOCH)


async def test_group_that_stops_does_not_wait_for_stalled_writes(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_STALLED_S", 0.02)
    bench.process.now(active=True, mode="stalled")
    await bench.until(lambda: bench.mirror.state is not None and bench.mirror.state.mode == "stalled")
    bench.mirror.stand(replace(TOGETHER, online=True))
    assert "abort" not in bench.holder.did

    bench.mirror.stand(replace(TOGETHER, online=True, stopping=True))

    await bench.until(lambda: "abort" in bench.holder.did)
    assert len(bench.noted(md.LET_GO)) == 1


async def test_new_process_is_ordered_again_what_was_active(bench: Bench):
    bench.mirror.stand(TOGETHER)
    await bench.mirror.activate_here(EPOCH)
    bench.mirror.stand(replace(TOGETHER, online=True))

    bench.process.down()
    await bench.until(lambda: bench.mirror.state is None)
    bench.process.orders.clear()
    bench.process.state = type(bench.process.state)(server="server1", constructed=True, relation="equal")
    bench.process.up()

    await bench.until(lambda: bench.mirror.state is not None and bench.mirror.state.active)
    assert bench.process.of("activate")[0]["epoch"] == list(EPOCH)


async def test_deactivation_takes_the_device_first(bench: Bench):
    bench.mirror.stand(TOGETHER)
    await bench.mirror.activate_here(EPOCH)
    bench.holder.did.clear()

    await bench.mirror.deactivate_here()

    assert bench.holder.did == ["detach", "end"]
    assert bench.process.of("deactivate")
    assert not bench.process.state.active


async def test_device_that_was_aborted_goes_although_it_is_used(bench: Bench):
    await bench.mirror.abort()
    await bench.mirror.deactivate_here()

    assert bench.holder.did == ["abort", "detach lazily", "end"]


async def test_dead_process_is_deactivated(bench: Bench):
    bench.process.down()
    await bench.until(lambda: bench.mirror.state is None)

    await bench.mirror.deactivate_here()

    assert bench.holder.did == ["detach", "end"]


async def test_side_that_has_stood_down_fails_what_waits(bench: Bench):
    bench.process.say({"type": "stood_down", "why": "server2 was activated after this server."})

    await bench.until(lambda: "abort" in bench.holder.did)
    assert bench.said[-1]["why"] == "server2 was activated after this server."


# By hand --------------------------------------------------------------------------------------------------------------


async def number() -> Epoch:
    return EPOCH


async def test_by_hand_nothing_is_activated_beside_its_group(bench: Bench):
    bench.mirror.stand(TOGETHER)

    with pytest.raises(MirrorRefusedError, match="stop the group first"):
        await bench.mirror.activate(force=False, mount=False)


async def test_forced_takeover_is_durable_and_not_active_afterwards(bench: Bench):
    bench.mirror.number = number
    bench.mirror.look = lambda: bench.mirror.stand(
        replace(ALONE, held=bench.mirror.by_hand, online=bench.mirror.by_hand is not None)
    )
    bench.mirror.look()

    await bench.mirror.take_over()

    assert [order["force"] for order in bench.process.of("activate")] == [True]
    assert bench.process.of("deactivate")
    assert bench.noted(md.FORCED)
    bench.process.now(dirty=1)  # A word of it, as there are many: it is not ordered again.
    await bench.until(lambda: bench.mirror.state is not None and bench.mirror.state.dirty == 1)
    assert len(bench.process.of("activate")) == 1


async def test_orders_without_an_answer_are_not_waited_for(bench: Bench):
    bench.process.answers["pace"] = lambda _: None

    await bench.mirror.order("pace", bytes_s=1000)

    await bench.until(lambda: bool(bench.process.of("pace")))


async def test_refused_order_says_why(bench: Bench):
    bench.process.answers["discard"] = lambda _: {"type": "failed", "why": "An active side cannot give its data up."}

    with pytest.raises(MirrorRefusedError, match="cannot give its data up"):
        await bench.mirror.order("discard")
