"""The page of a large cluster in bench push: first paint, and what a change costs the browser's main thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.goals import Goal, Outcome, median
from tests.bench.push_parts import Client, Ground, Web
from tests.bench.web import chromium

Say = Callable[[str], None]

_PAINT_MS, _WORK_MS = 1000.0, 50.0
_CLUSTER = "large"
_SHOWN = """(groups) => {
    const look = () => {
        if (document.querySelectorAll("clp-topology .group-card").length < groups) return;
        window.benchShown ??= performance.now();
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true });
}"""


@dataclass(frozen=True, slots=True)
class Page:
    servers: int = 32
    groups: int = 500
    loads: int = 5
    rate: float = 2.0  # changes a second in the whole cluster
    seconds: float = 15.0

    @property
    def nodes(self) -> list[str]:
        return [f"server{n:02}" for n in range(1, self.servers + 1)]


QUICK = Page(servers=4, groups=20, loads=1, seconds=3)


def clusters(size: Page) -> dict[str, list[str]]:
    return {_CLUSTER: size.nodes}


def measure(there: Ground, web: Web, size: Page, out: Outcome, say: Say) -> None:
    speak = {"port": web.port, "agents": there.agents(_CLUSTER), "servers": size.servers, "groups": size.groups,
             "talk": 1, "rate": size.rate, "seconds": size.seconds}  # fmt: skip
    with there.clients(("agents", speak)) as (agents,), chromium() as browser:
        web.settle()
        loads = [_load(browser, there, web, size) for _ in range(size.loads)]
        say(f"painted and shown after {loads} ms")
        work_ms = _work(browser, there, web, size, agents)
    painted, shown = (median(times) for times in zip(*loads, strict=True))
    what = f"a page of {size.servers} servers, {size.groups} groups, {10 * size.groups} resources and monitors"
    out.notes.append(
        f"{what[0].upper()}{what[1:]}: first paint after {painted:.0f} ms, all groups in the picture after "
        f"{shown:.0f} ms, {work_ms:.1f} ms of the main thread for a change."
    )
    out.goals += [
        Goal("first paint of the large page", painted, _PAINT_MS, "goal", 1.0, "ms"),
        Goal("main thread for a change", work_ms, _WORK_MS, "goal", 1.0, "ms"),
    ]


def _open(browser: Any, there: Ground, web: Web, size: Page) -> Any:
    """In a context of its own: nothing is in its cache."""
    name, _equals, value = there.prepared["cookie"].partition("=")
    url = f"http://127.0.0.1:{web.port}"
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": name, "value": value, "url": url}])
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.add_init_script(f"({_SHOWN})({size.groups})")
    page.goto(f"{url}/?cluster={_CLUSTER}")
    page.locator("clp-live .state[data-look=good]").wait_for()
    page.locator("clp-topology .group-card").nth(size.groups - 1).wait_for(state="attached")
    return page


def _load(browser: Any, there: Ground, web: Web, size: Page) -> tuple[float, float]:
    """(first paint with content, all groups in the document), in ms from the start of the navigation."""
    page = _open(browser, there, web, size)
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    shown = page.evaluate("window.benchShown")
    page.context.close()
    return float(painted), float(shown)


def _work(browser: Any, there: Ground, web: Web, size: Page, agents: Client) -> float:
    """Milliseconds of the main thread, with everything that it does meanwhile, by changes."""
    page = _open(browser, there, web, size)
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable")
    time.sleep(2)  # What the load left to do is no price of a change.

    def busy_s() -> float:
        metrics = tools.send("Performance.getMetrics")["metrics"]
        return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")

    before = busy_s()
    agents.go()
    agents.through()
    page.wait_for_timeout(500)
    work_s = busy_s() - before
    told = agents.answer()["told"][_CLUSTER]
    page.context.close()
    return 1000 * work_s / max(1, told)
