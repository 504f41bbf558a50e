"""What operators ask of a mirror disk: on the right server, once, and a forced recovery by what the sides say then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from agent.daemon.mirror_orders import MirrorOrders, MirrorRefusedError
from agent.wire.mirror import MirrorState
from agent.wire.peer import Answer, Request

SERVERS = ("server1", "server2")


class FakeMirror:
    """Keeps what it was told."""

    name = "md1"

    def __init__(self, me: str, **state: Any) -> None:
        self.peer = next(name for name in SERVERS if name != me)
        self.state: MirrorState | None = MirrorState(server=me, peer=self.peer, constructed=True, **state)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.refuses = ""
        self.hangs = False

    async def _take(self, what: str, **fields: Any) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses:
            raise MirrorRefusedError(self.refuses)
        self.told.append((what, fields))

    async def order(self, op: str, **fields: Any) -> None:
        await self._take(op, **fields)

    async def activate(self, *, force: bool, mount: bool) -> None:
        await self._take("activate", force=force, mount=mount)

    async def deactivate(self) -> None:
        await self._take("deactivate")

    async def take_over(self) -> None:
        await self._take("take_over")


class Two:
    """Two daemons, each of which can ask the other one."""

    def __init__(self, one: FakeMirror, two: FakeMirror) -> None:
        self.mirrors = {"server1": one, "server2": two}
        self.orders = {me: MirrorOrders(me, lambda me=me: {"md1": self.mirrors[me]}, lambda: SERVERS) for me in SERVERS}

    async def forward(self, to: str, line: dict[str, Any], limit_s: float) -> AsyncGenerator[dict[str, Any], None]:
        request = msgspec.convert(line["request"], Request)
        answer = await self.orders[to].answer(request, self.forward, limit_s)
        yield {"ok": answer.code == 0, "answer": msgspec.to_builtins(answer)}

    async def ask(self, op: Any, server: str = "", at: str = "server1", key: str = "1", **more: Any) -> Answer:
        request = Request(id=key, op=op, target="md1", server=server, by="root@clpmdctrl", **more)
        return await self.orders[at].answer(request, self.forward, more.get("wait_s", 5.0))

    def told(self) -> dict[str, list[str]]:
        return {server: [what for what, _ in one.told] for server, one in self.mirrors.items()}


def two(**state: Any) -> Two:
    return Two(FakeMirror("server1", **state), FakeMirror("server2", **state))


@pytest.mark.parametrize(
    ("op", "told"),
    [
        ("mirror_break", "break"), ("mirror_join", "join"), ("mirror_verify", "verify"), ("mirror_pace", "pace"),
        ("mirror_activate", "activate"), ("mirror_deactivate", "deactivate"), ("mirror_discard", "discard"),
        ("mirror_verify_stop", "verify_stop"),
    ],
)  # fmt: skip
async def test_server_that_is_named_carries_it_out_whoever_is_asked(op: str, told: str) -> None:
    pair = two()

    answers = [await pair.ask(op), await pair.ask(op, "server2", key="2")]

    assert [one.code for one in answers] == [0, 0]
    assert pair.told() == {"server1": [told], "server2": [told]}


async def test_pace_and_ways_of_activating_travel() -> None:
    pair = two()
    await pair.ask("mirror_pace", "server2", bytes_s=5 << 20)
    await pair.ask("mirror_activate", "server2", key="2", mount=False, force=True)

    assert pair.mirrors["server2"].told == [
        ("pace", {"bytes_s": 5 << 20}), ("activate", {"force": True, "mount": False}),
    ]  # fmt: skip


async def test_comparison_that_repairs_is_ordered_so() -> None:
    pair = two(relation="equal")
    await pair.ask("mirror_verify", force=True)

    assert pair.mirrors["server1"].told == [("verify", {"repair": True})]


async def test_same_request_is_carried_out_once() -> None:
    pair = two()

    assert await pair.ask("mirror_break") == await pair.ask("mirror_break")
    assert pair.told()["server1"] == ["break"]


@pytest.mark.parametrize(("running", "code"), [(True, 0), (False, 3)])
async def test_comparison_that_takes_long_is_under_way(running: bool, code: int) -> None:
    pair = two(relation="equal", verify={"running": running})

    async def order(op: str, **fields: Any) -> None:
        raise TimeoutError

    pair.mirrors["server1"].order = order  # type: ignore[method-assign]

    assert (await pair.ask("mirror_verify")).code == code


async def test_refusal_is_told_as_it_is() -> None:
    pair = two()
    pair.mirrors["server2"].refuses = "It is active."

    answer = await pair.ask("mirror_break", "server2")

    assert (answer.code, answer.text) == (2, "It is active.")


async def test_what_hangs_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = two()
    pair.mirrors["server1"].hangs = True
    request = Request(id="1", op="mirror_break", target="md1")

    answer = await pair.orders["server1"].answer(request, pair.forward, 0.01)

    assert (answer.code, answer.reason) == (1, "not_done_yet")


@pytest.mark.parametrize(
    ("target", "server", "reason"), [("md9", "", "unknown_mirror"), ("md1", "x", "unknown_server")]
)
async def test_unknown_names_are_refused(target: str, server: str, reason: str) -> None:
    pair = two()
    request = Request(id="1", op="mirror_break", target=target, server=server)

    answer = await pair.orders["server1"].answer(request, pair.forward, 5.0)

    assert (answer.code, answer.reason) == (2, reason)


async def test_forced_recovery_of_what_has_parted_lets_the_other_one_give_up() -> None:
    pair = two(relation="foreign", link={"connected": True})

    answer = await pair.ask("mirror_force", "server2")

    assert answer.code == 0
    assert pair.told() == {"server1": ["discard"], "server2": []}


async def test_forced_recovery_fails_when_the_other_one_refuses() -> None:
    pair = two(relation="foreign", link={"connected": True})
    pair.mirrors["server2"].refuses = "It is being activated."

    answer = await pair.ask("mirror_force", "server1")

    assert (answer.id, answer.code, answer.text) == ("1", 2, "It is being activated.")


async def test_forced_recovery_without_the_other_one_takes_over() -> None:
    pair = two(relation="apart", doubt="It cannot know.")

    assert (await pair.ask("mirror_force", "server1")).code == 0
    assert pair.told() == {"server1": ["take_over"], "server2": []}


async def test_forced_recovery_of_what_was_never_constructed_constructs() -> None:
    pair = two(relation="foreign")
    for one in pair.mirrors.values():
        assert one.state is not None
        one.state = msgspec.structs.replace(one.state, constructed=False)

    assert (await pair.ask("mirror_force", "server2")).code == 0
    assert pair.mirrors["server2"].told == [("construct", {"full": True})]


@pytest.mark.parametrize(
    "state",
    [{"relation": "equal"}, {"relation": "source"}, {"relation": "foreign", "peer_active": True}, {"isolated": True}],
)
async def test_nothing_is_forced_where_it_would_harm_or_do_nothing(state: dict[str, Any]) -> None:
    pair = two(**state)

    answer = await pair.ask("mirror_force", "server1")

    assert (answer.code, answer.reason) == (2, "nothing_to_force")
    assert answer.text
    assert pair.told() == {"server1": [], "server2": []}


async def test_nothing_is_forced_over_what_is_active_behind_a_cut_mirror_connect() -> None:
    pair = two(relation="apart", doubt="It cannot know.")
    theirs = MirrorState(server="server2", peer="server1", constructed=True, active=True, mode="alone")
    pair.orders["server1"].sides = lambda name: {"server2": msgspec.structs.asdict(theirs)}

    answer = await pair.ask("mirror_force", "server1")
    by_hand = await pair.ask("mirror_activate", "server1", key="2", force=True)

    assert (answer.code, answer.reason) == (2, "nothing_to_force")
    assert "Stop its group first" in answer.text
    assert (by_hand.code, by_hand.reason) == (2, "mirror_refuses")
    assert pair.told() == {"server1": [], "server2": []}


async def test_process_that_does_not_run_cannot_be_forced() -> None:
    pair = two()
    pair.mirrors["server1"].state = None

    assert (await pair.ask("mirror_force", "server1")).text.endswith("its mirror process does not run.")


async def test_side_that_was_separated_for_a_backup_joins_as_its_backup_ends():
    """Somebody may read what is mounted of it: that is looked at first."""
    asked = []

    async def backups(mirror: Any, request: Request, sides: Any) -> str:
        asked.append((mirror.name, request.op))
        return "It joins."

    both = two(separated_at=5.0)
    orders = MirrorOrders("server1", lambda: {"md1": both.mirrors["server1"]}, lambda: SERVERS, backups)
    answer = await orders.answer(Request(id="1", op="mirror_join", target="md1", server="server1"), None, 5.0)
    assert (answer.code, answer.text, asked) == (0, "It joins.", [("md1", "mirror_backup_end")])
    assert both.told() == {"server1": [], "server2": []}
