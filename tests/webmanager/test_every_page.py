"""Every page of the console, as the paths have it: axe, width, words, keyboard; light, dark, English and Japanese.

A new page is asked by itself; what stands for its <parameters> is said in `samples`. The Builder's pages have many
states, so that they are asked in tests/builder/test_every_page.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser import judge
from tests.builder.states import Trial
from tests.builder.test_in_browser import chromium
from tests.webmanager.accounts.test_access import paths

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(180)]
CLUSTER = "every"
# Asked by programs, or about what is no page: files, parts of pages, what ends a session.
_NO_PAGES = re.compile(
    r"api/.*|builder/.*|witness/.*|join/.*|metrics|jsi18n/|logout/|login/code|language/"
    r"|.*/(export|file|rows|acks|delete|fault)|mirrors/<str:name>/"  # in each of its states: mirrors/test_in_browser.py
)
_QUERIES = {"operate/": "op=group_move&target=failover1", "search/": "q=failover"}
OWN = ("Three servers on one machine",)
PAGES = [path for path, view in paths() if not _NO_PAGES.fullmatch(path)]


@pytest.fixture(scope="module")
def live(manager: Any, people: Any) -> Iterator[Trial]:
    """Servers that report, and that have told of a change."""
    from webmanager import agents
    from webmanager.models import Cluster

    made = Trial(manager, CLUSTER, lambda node: agents.add(node=node, cluster=CLUSTER))
    made.begin()
    made.do(made.servers.wrote(73, CLUSTER, made.servers.origin, "server2 was not heard"))
    yield made
    made.end()
    Cluster.objects.filter(name=CLUSTER).delete()


@pytest.fixture(scope="module")
def samples(live: Trial) -> dict[str, Callable[[], Any]]:
    """What stands for a path's parameters: by the path's first word."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from tests.webmanager.test_recoveries_kept import events
    from webmanager import ledger
    from webmanager.drills.models import Drill
    from webmanager.logs.models import Collection
    from webmanager.models import Cluster, Event, Operation
    from webmanager.recoveries import services
    from webmanager.recoveries.models import Recovery

    owner = Cluster.objects.get(name=CLUSTER)
    now = timezone.now()
    by = {"cluster": owner, "by": "alice@192.0.2.7"}
    failed = {"server2": {"percent": 10, "error": "It does not answer.", "clock": None}}
    ledger.store(CLUSTER, events("server_crash", now.timestamp() - 3600))
    services.catch_up(cluster=owner)
    event = Event.objects.filter(cluster=owner)[0]
    found = {
        "operations": Operation.objects.create(op="group_stop", target="failover1", state="done", **by).pk,
        "users": get_user_model().objects.get(username="bob").pk,
        "events": event.pk,
        "drills": Drill.objects.create(
            kind="crash", server="server1", bound_s=5, state="refused", reason="unsafe", ended_at=now, **by
        ).pk,
        "logs": Collection.objects.create(
            kind="type1", limit_mib=128, state="failed", servers=failed, error="No server gave its logs.", **by
        ).pk,
        "recoveries": Recovery.objects.filter(cluster=owner)[0].pk,
        "servers": "server1", "groups": "failover1", "availability": "failover1", "monitors": "pidw1",
        "heartbeats": "lanhb1", "resources": "fip1",
    }  # fmt: skip
    return found


@pytest.fixture(scope="module")
def window(chromium: Any, manager: Any, people: dict[str, str]) -> Iterator[Callable[[str], Any]]:
    """window("ja"): Alice's page, in that language."""
    from django.conf import settings

    base = f"http://127.0.0.1:{manager.port}"
    context = chromium.new_context(base_url=base)
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())

    def speak(language: str) -> Any:
        cookies = {settings.SESSION_COOKIE_NAME: people["alice"], "django_language": language}
        context.add_cookies([{"name": name, "value": value, "url": base} for name, value in cookies.items()])
        return page

    yield speak
    context.close()


@pytest.mark.parametrize(("path", "language"), judge.shared_out(PAGES))
def test_page_is_good_for_everybody(
    live: Trial, samples: dict[str, Any], window: Any, path: str, language: str
) -> None:
    page = window(language)
    first = path.partition("/")[0]
    assert "<" not in path or first in samples, f"say in `samples` what stands for the parameters of /{path}"
    address = re.sub(r"<\w+:\w+>", str(samples.get(first)), path)
    if path == "login/":
        page.context.clear_cookies(name="openclp_session")
    address += f"?cluster={CLUSTER}&{_QUERIES.get(path, '')}"
    if page.request.get(f"/{address}").status == 405:
        pytest.skip("no page: it takes forms only")
    assert page.goto(f"/{address}").status == 200
    judge.picture(page, re.sub(r"\W+", "-", path).strip("-") or "live", language)
    assert judge.faults(page, language, own=OWN) == []
