"""Every page and state of the Builder: axe, width, words and keyboard; light and dark, English and Japanese."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser import judge
from tests.builder.states import ALIKE, STATES, Stage, Trial
from tests.builder.test_in_browser import chromium
from tests.webmanager.conftest import cluster, register

__all__ = ["chromium", "cluster", "register"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(180)]
CLUSTER = "shown"


@pytest.fixture(scope="module")
def trial(manager: Any, people: Any) -> Iterator[Trial]:
    from webmanager import agents
    from webmanager.models import Cluster

    Cluster.objects.get_or_create(name="unheard")
    made = Trial(manager, CLUSTER, lambda node: agents.add(node=node, cluster=CLUSTER))
    made.begin()
    yield made
    made.end()
    Cluster.objects.filter(name__in=("unheard", CLUSTER)).delete()


@pytest.fixture(scope="module")
def window(chromium: Any, manager: Any, people: dict[str, str]) -> Iterator[tuple[Any, Callable[[str], None]]]:
    """Alice's only one."""
    from django.conf import settings

    base = f"http://127.0.0.1:{manager.port}"
    context = chromium.new_context()
    context.set_default_timeout(30_000)
    page = context.new_page()

    def speak(language: str) -> None:
        cookies = {settings.SESSION_COOKIE_NAME: people["alice"], "django_language": language}
        context.add_cookies([{"name": name, "value": value, "url": base} for name, value in cookies.items()])

    page.on("dialog", lambda dialog: dialog.accept())
    yield page, speak
    context.close()


@pytest.fixture
def stage(window: Any, manager: Any, trial: Trial, users: dict[str, Any], draft: Any) -> Iterator[Stage]:
    from builder import services
    from builder.models import Apply
    from webmanager.models import Cluster

    owner = Cluster.objects.get(name=CLUSTER)
    mine = services.create_draft(bundle=trial.servers.runs, name=CLUSTER, user=users["alice"], cluster=owner)
    made = Stage(window[0], f"http://127.0.0.1:{manager.port}", draft, mine, trial, users["alice"])
    made.change("changed", mine)
    yield made
    made.page.goto("about:blank")
    trial.do(trial.servers.say())
    Apply.objects.filter(cluster=owner).delete()
    mine.delete()


@pytest.mark.parametrize(("name", "language"), judge.shared_out(STATES, ALIKE))
def test_page_is_good_for_everybody(stage: Stage, window: Any, name: str, language: str) -> None:
    state = STATES[name]
    window[1](language)
    stage.go(state) if isinstance(state, str) else state(stage)
    judge.picture(stage.page, name, language)
    assert judge.faults(stage.page, language) == []
