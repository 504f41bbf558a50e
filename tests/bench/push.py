"""push: what reaches how many browsers how soon, and at which price; beside stock Channels groups and polling.

Server, browsers and agents are processes of their own on one machine; times are of its steady clock, from an agent's
sending to a browser's reading. CPU is that of the web server and of the message server together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench import dom, push_page
from tests.bench.goals import Goal, Outcome
from tests.bench.push_parts import Ground, Web, ground

Say = Callable[[str], None]

_PERIOD_S = 3.0
_SHOWN_MS, _AGENTS_MS = 300.0, 500.0
_BURST_S, _CPU_SHARE = 50_000, 0.2
_MEMORY_MB = 300.0
_HEAD = ("", "seen", "median ms", "90 % ms", "99 % ms", "worst ms", "missing", "core %", "us CPU each", "kB each")


@dataclass(frozen=True, slots=True)
class Sizes:
    browsers: int = 1000
    pollers: int = 200
    rate: float = 10.0
    seconds: float = 20.0
    burst: tuple[int, int] = (200, 300)  # browsers, messages
    clusters: int = 32
    servers: int = 32
    agents_s: float = 30.0


QUICK = Sizes(browsers=50, pollers=10, seconds=3, burst=(20, 100), clusters=4, servers=4, agents_s=4)


def run(say: Say, *, quick: bool) -> Outcome:
    sizes = QUICK if quick else Sizes()
    out = Outcome("push: from an agent's sending to the browsers' sockets", _HEAD)
    many = {f"many{n:02}": [f"server{s:02}" for s in range(1, sizes.servers + 1)] for n in range(1, sizes.clusters + 1)}
    page = push_page.QUICK if quick else push_page.Page()
    with ground({"one": [f"server{n:02}" for n in range(1, 4)], **many, **push_page.clusters(page)}) as there:
        with there.web("webmanager.serve") as web:
            say("browsers")
            ours, size = _browsers(there, web, sizes, out)
            say("polling")
            _polling(there, web, sizes, out)
        with there.web("tests.bench.push_server", "stock") as web:
            say("stock Channels")
            stock = _stock(there, web, sizes, out, size)
        say("bursts")
        rate = {name: _burst(there, name, sizes, out) for name in ("ours", "stock")}
        say("agents")
        with there.web("webmanager.serve") as web:
            _agents(there, web, list(many), sizes, out)
        say("page")
        with there.web("webmanager.serve") as web:
            push_page.measure(there, web, page, out, say)
    out.goals += [
        Goal("CPU of one delivery", ours, stock, "stock Channels", _CPU_SHARE, "us"),
        Goal("seconds for 50 000 deliveries", _BURST_S / rate["ours"], 1.0, "goal", 1.0, "s"),
    ]
    out.notes.append(
        f"A burst in one process: {rate['ours']:,.0f} deliveries a second, stock Channels {rate['stock']:,.0f}: "
        f"{rate['ours'] / rate['stock']:.1f} times as many."
    )
    say("document")
    shown = dom.run(say, quick=quick)
    out.goals += shown.goals
    out.notes += [
        f"{row[0]}: median {row[3]} ms, 99 % {row[5]} ms, worst {row[6]} ms (n {row[1]})." for row in shown.rows
    ]
    return out


def _browsers(there: Ground, web: Web, sizes: Sizes, out: Outcome) -> tuple[float, float]:
    """(CPU of one delivery in us, bytes of a message)."""
    speak = {"port": web.port, "agents": there.agents("one"), "servers": 3, "groups": 12, "talk": 1, "rate": sizes.rate,
             "seconds": sizes.seconds}  # fmt: skip
    watch = {"port": web.port, "cookie": there.prepared["cookie"],
             "watch": [["/ws/console/?cluster=one", sizes.browsers]]}  # fmt: skip
    with there.clients(("agents", speak), ("browsers", watch)) as (agents, browsers):
        measured = _between(web, agents, browsers)
        told = measured.told["one"]
        seen, missing = measured.count, told * sizes.browsers - measured.count
    cpu = _row(out, f"{sizes.browsers} browsers, {sizes.rate:g} changes a second", measured, missing)
    out.goals += [
        Goal("99 % of changes at the socket", measured.seen.get("p99", math.inf), _SHOWN_MS, "goal", 1.0, "ms"),
        Goal("changes that browsers missed", missing, 0, "goal"),
        Goal("browsers that were dropped", len(measured.seen["lost_connections"]), 0, "goal"),
    ]
    assert seen
    return cpu, measured.seen["bytes"]


@dataclass(slots=True)
class Measured:
    told: dict[str, int]
    seen: dict[str, Any]
    cpu_s: float
    lasted_s: float

    @property
    def count(self) -> int:
        return int(self.seen["n"])


def _between(web: Web, speakers: Any, watchers: Any, settle_s: float = 2.0) -> Measured:
    """From the first change until all has had time to arrive."""
    web.settle()  # All agents have been taken.
    watchers.go()
    before, start = web.cpu_s(), time.monotonic()
    speakers.go()
    speakers.through()
    lasted_s, cpu_s = time.monotonic() - start, web.cpu_s() - before
    told = speakers.answer()["told"]
    web.settle(settle_s)
    cpu_s = max(cpu_s, web.cpu_s() - before) if settle_s > 2 else cpu_s
    return Measured(told, watchers.through().answer(), cpu_s, lasted_s)


def _row(out: Outcome, name: str, found: Measured, missing: float | str) -> float:
    seen = found.seen
    each = 1e6 * found.cpu_s / max(1, found.count)
    times = [f"{seen[key]:.1f}" for key in ("p50", "p90", "p99", "max")] if found.count else ["-"] * 4
    size = f"{seen['bytes'] / 1000:.1f}" if "bytes" in seen else "-"
    core = f"{100 * found.cpu_s / found.lasted_s:.0f}"
    out.rows.append([name, str(found.count), *times, str(missing), core, f"{each:.0f}", size])
    return each


def _polling(there: Ground, web: Web, sizes: Sizes, out: Outcome) -> None:
    speak = {"port": web.port, "agents": there.agents("one"), "servers": 3, "groups": 12, "talk": 1, "rate": sizes.rate,
             "seconds": max(sizes.seconds, 2 * _PERIOD_S), "marked": True}  # fmt: skip
    poll = {"port": web.port, "cookie": there.prepared["cookie"], "path": "/api/v2/clusters/one/status",
            "count": sizes.pollers, "every_s": _PERIOD_S, "period_s": 1 / sizes.rate}  # fmt: skip
    with there.clients(("agents", speak), ("pollers", poll)) as (agents, pollers):
        measured = _between(web, agents, pollers)
    _row(out, f"{sizes.pollers} pages that poll every {_PERIOD_S:g} s", measured, "-")
    each_ms = 1000 * measured.cpu_s / max(1, measured.seen["polls"])
    whole = each_ms / 1000 * sizes.browsers / _PERIOD_S
    out.notes.append(
        f"A poll costs {each_ms:.1f} ms of processor time; {sizes.browsers} pages that poll take {whole:.1f} cores."
    )


def _stock(there: Ground, web: Web, sizes: Sizes, out: Outcome, size: float) -> float:
    speak = {"port": web.port, "rate": sizes.rate, "seconds": sizes.seconds, "bytes": size}
    watch = {"port": web.port, "cookie": there.prepared["cookie"], "watch": [["/ws/console/", sizes.browsers]]}
    with there.clients(("feed", speak), ("browsers", watch)) as (feed, browsers):
        measured = _between(web, feed, browsers, 3.0)
    missing = measured.told[""] * sizes.browsers - measured.count
    return _row(out, f"the same by stock Channels groups, {size / 1000:.1f} kB each", measured, missing)


def _burst(there: Ground, name: str, sizes: Sizes, out: Outcome) -> float:
    """Deliveries a second."""
    browsers, messages = sizes.burst
    path = "/ws/console/" + ("?cluster=one" if name == "ours" else "")
    with there.web("tests.bench.push_server", name) as web:
        watch = {"port": web.port, "cookie": there.prepared["cookie"], "watch": [[path, browsers]],
                 "messages": messages, "limit_s": 60}  # fmt: skip
        with there.clients(("browsers", watch)) as (clients,):
            clients.go()
            before = web.cpu_s()
            start = web.get(f"/bench/burst?cluster=one&n={messages}")["start"]
            clients.through()
            cpu_s = web.cpu_s() - before
            seen = clients.answer()
    lasted_s = seen["last"] - start
    measured = Measured({}, seen, cpu_s, lasted_s)
    missing = browsers * messages - measured.count
    _row(out, f"burst of {messages} messages to {browsers} browsers, {name}", measured, missing)
    return float(measured.count / lasted_s)


def _agents(there: Ground, web: Web, clusters: list[str], sizes: Sizes, out: Outcome) -> None:
    count = sizes.clusters * sizes.servers
    speak = {"port": web.port, "agents": there.agents(*clusters), "servers": sizes.servers, "groups": sizes.servers,
             "rate": 1.0, "seconds": sizes.agents_s}  # fmt: skip
    watch = {"port": web.port, "cookie": there.prepared["cookie"],
             "watch": [[f"/ws/console/?cluster={cluster}", 1] for cluster in clusters]}  # fmt: skip
    with there.clients(("agents", speak), ("browsers", watch)) as (agents, browsers):
        measured = _between(web, agents, browsers)
        memory = web.memory_mb()
    told = sum(measured.told.values())
    missing = told - measured.count
    _row(out, f"{count} agents of {len(clusters)} clusters, a change a second each", measured, missing)
    out.goals += [
        Goal("99 % of the agents' changes", measured.seen.get("p99", math.inf), _AGENTS_MS, "goal", 1.0, "ms"),
        Goal("agents' changes that got lost", missing, 0, "goal"),
        Goal("memory of the web server", memory, _MEMORY_MB, "goal", 1.0, "MB"),
    ]
