"""The pure modules of the console, run in Chromium against what the Python side says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.utils import translation

from agent.messages.catalog import MESSAGES
from agent.wire.status import diff
from tests.browser.cluster import MadeUp
from tests.webmanager.test_packing import large_message
from webmanager import spoken
from webmanager.packing import packed

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]
REDUCE = """async ([messages, now]) => {
    const {EMPTY, reduce} = await import("/static/js/reducer.js");
    let state = EMPTY;
    const resyncs = [];
    for (const message of messages) {
        const step = reduce(state, message, now);
        state = step.state;
        resyncs.push(step.resync);
    }
    return {state, resyncs};
}"""


@pytest.fixture
def module(look: Look) -> Any:
    return look("/404", allow="404")


def _snapshot(status: Any, rev: int = 1) -> dict[str, Any]:
    return {"type": "snapshot", "cluster": "demo", "rev": rev, "status": status, "events": [], "agents": {}, "at": 10.0}


def _change(rev: int, changes: Any = (), events: Any = ()) -> dict[str, Any]:
    return {
        "type": "change",
        "cluster": "demo",
        "rev": rev,
        "changes": list(changes),
        "events": list(events),
        "at": 10.0,
    }


def test_snapshot_and_changes_equal_the_fresh_status(module: Any) -> None:
    cluster = MadeUp()
    shown = cluster.status()
    messages = [_snapshot(shown)]
    acts: list[Callable[[], Any]] = [
        lambda: cluster.crash("server1"), cluster.finish, lambda: cluster.down.clear(),
        lambda: cluster.move("failover1", "server3"), lambda: cluster.cut.add(("lanhb1", "server2")),
        lambda: cluster.nowhere("failover2"), lambda: cluster.also("failover1", "server1"),
    ]  # fmt: skip
    for rev, act in enumerate(acts, 2):
        act()
        status = cluster.status()
        messages.append(_change(rev, diff(shown, status)))
        shown = status

    result = module.evaluate(REDUCE, [messages, 10_000])

    assert result["state"]["status"] == msgspec.json.decode(msgspec.json.encode(shown))
    assert result["resyncs"] == [False] * len(messages)


def test_snapshot_of_a_large_cluster_is_put_together_again(module: Any) -> None:
    large = large_message(100)

    result = module.evaluate(REDUCE, [[packed(large)], 0])

    assert result["state"]["status"] == large["status"]
    servers = [list(one["servers"]) for one in result["state"]["status"]["groups"].values()]
    assert servers == [list(one["servers"]) for one in large["status"]["groups"].values()]  # Each in its own order.


def test_gap_asks_for_a_snapshot_and_changes_nothing(module: Any) -> None:
    status = MadeUp().status()
    messages = [_snapshot(status), _change(3, [["groups", "failover1", None]])]

    result = module.evaluate(REDUCE, [messages, 0])

    assert result["resyncs"] == [False, True]
    assert result["state"]["rev"] == 1
    assert "failover1" in result["state"]["status"]["groups"]


def test_repeated_change_is_ignored(module: Any) -> None:
    status = MadeUp().status()
    messages = [_snapshot(status, 5), _change(5, [["groups", "failover1", None]])]

    result = module.evaluate(REDUCE, [messages, 0])

    assert result["resyncs"] == [False, False]
    assert "failover1" in result["state"]["status"]["groups"]


def test_change_of_another_cluster_is_not_taken(module: Any) -> None:
    foreign = {**_change(2, [["groups", "failover1", None]]), "cluster": "other"}

    result = module.evaluate(REDUCE, [[_snapshot(MadeUp().status()), foreign], 0])

    assert result["resyncs"] == [False, True]
    assert "failover1" in result["state"]["status"]["groups"]


def test_alive_with_another_number_asks_for_a_snapshot(module: Any) -> None:
    alive = {"type": "alive", "rev": 2, "at": 11.0, "ages": {"server1": 2.0}}

    result = module.evaluate(REDUCE, [[_snapshot(MadeUp().status()), alive], 20_000])

    assert result["resyncs"] == [False, True]
    assert result["state"]["born"]["server1"] == 18_000
    assert result["state"]["skew"] == -9


def test_events_stand_once_in_order_and_the_newest_are_kept(module: Any) -> None:
    notes = [{"id": f"s:1:{n}", "time": n, "causes": []} for n in range(1500)]
    messages = [_snapshot(MadeUp().status()), _change(2, events=notes[700:]), _change(3, events=notes[:900])]

    result = module.evaluate(REDUCE, [messages, 0])

    assert [note["time"] for note in result["state"]["events"]] == list(range(500, 1500))


def test_unknown_message_changes_nothing(module: Any) -> None:
    result = module.evaluate(REDUCE, [[_snapshot(MadeUp().status()), {"type": "later"}], 0])

    assert result["resyncs"] == [False, False]


def test_chain_of_causes_that_goes_round_ends(module: Any) -> None:
    events = [
        {"id": "a", "causes": ["b", "gone"]}, {"id": "b", "causes": ["a", "c"]}, {"id": "c", "causes": []},
    ]  # fmt: skip

    chain = module.evaluate(
        """async (events) => {
            const {chain} = await import("/static/js/causes.js");
            const plain = ({note, because}) => [note.id, because.map(plain)];
            return plain(chain(events, events[0]));
        }""",
        events,
    )

    assert chain == ["a", [["b", [["c", []]]]]]


def test_sentences_are_filled_as_the_agent_fills_them(module: Any) -> None:
    cases = [
        {"template": template.ja, "params": params, "expected": template.fill(params, "ja")}
        for template in MESSAGES.values()
        for params in (["a"], ["a", "b"], ["a", "", "c"], ["a", "%1 [x]", "c", "d"])
    ]

    made = module.evaluate(
        """async (cases) => {
            const {fillTemplate} = await import("/static/js/sentence.js");
            return cases.map(({template, params}) => fillTemplate(template, params));
        }""",
        cases,
    )

    assert made == [case["expected"] for case in cases]


_OF_OPERATIONS = ("running", "accepted", "done", "refused", "failed", "cancelled", "waiting", "asked", "returned")


def test_states_look_the_same_in_templates_and_scripts(module: Any) -> None:
    from webmanager.templatetags import console

    states = [name for name in console._LOOKS if name not in _OF_OPERATIONS]

    looks = module.evaluate(
        """async (states) => (await import("/static/js/look.js").then(({look}) => states.map((one) => look(one))))""",
        states,
    )

    assert looks == [console._LOOKS[name] for name in states]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (0.44, "0.4 s"), (9.96, "10.0 s"), (12.4, "12 s"), (192, "3 min 12 s"), (7500, "2 h 5 min"),
     (273_600, "3 d 4 h")],
)  # fmt: skip
def test_age_reads_well(module: Any, seconds: float, text: str) -> None:
    assert module.evaluate("(s) => import('/static/js/text.js').then(({age}) => age(s))", seconds) == text


def test_what_servers_say_whole_is_said_as_the_manager_says_it(module: Any) -> None:
    texts = [re.sub(r"\{(\d)\}", r"name\1", text) for text in spoken.wanted()]
    texts = [text for text in texts if spoken._of_event(text) is None]
    texts += [f"server1: {texts[0]}", " ".join(texts[3:6]), "Nobody knows this.", f"{texts[0]} Nobody knows this."]
    with translation.override("ja"):
        known = list(spoken.known_here().items())
        wanted = [words if there else None for words, there in map(spoken.said, texts)]

    told = module.evaluate(
        """async ([known, texts]) => {
            const place = Object.assign(document.createElement("script"), {type: "application/json", id: "spoken"});
            place.textContent = JSON.stringify(known);
            document.body.append(place);
            const {said} = await import("/static/js/spoken.js");
            return texts.map(said);
        }""",
        [known, texts],
    )

    assert wanted.count(None) == 2
    assert told == wanted
