"""What-if from the page to a real worker and back: message server, Celery, database and pages as they are installed."""

from __future__ import annotations

import datetime
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from agent.clpconf.archive import Bundle
from builder import services
from builder.models import WhatIf
from tests.bench.configuration import large_conf
from tests.manager import MANY
from tests.webmanager import stack

pytestmark = pytest.mark.slow
SMALL = (2, 2)  # servers and groups
LONG = (16, 120)  # plays for much longer than a test waits


class Page:
    """The what-if of one draft, in a browser without JavaScript."""

    def __init__(self, manager: stack.Server, cookie: str, draft: Any) -> None:
        self.manager, self.draft = manager, draft
        self.cookies = {"openclp_session": cookie}
        self.path = reverse("builder-whatif", args=(draft.pk,))

    def get(self) -> str:
        status, text, response = self.manager.call("GET", self.path, headers=self._headers())
        assert status == 200
        for line in response.headers.get_all("Set-Cookie", []):
            name, _equals, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return str(text)

    def press(self, button: str) -> None:
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get())[0]
        body = urlencode({"csrfmiddlewaretoken": token, "do": button})
        headers = self._headers() | {"Content-Type": "application/x-www-form-urlencoded"}
        headers["Origin"] = f"http://{self.manager.host}"
        path = reverse("builder-whatif-start", args=(self.draft.pk,))
        assert self.manager.call("POST", path, body=body, headers=headers)[0] == 302

    def until(self, words: str) -> str:
        return str(
            stack.until(lambda: text if words in (text := self.get()) else "", f"{words!r} in the page", step_s=0.3)
        )

    @property
    def played(self) -> int:
        found = re.findall(r"([0-9]+) of [0-9]+ played", self.get())
        return int(found[0]) if found else 0

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}


@pytest.fixture
def page(manager, people, users):
    """page((servers, groups)): the page of a draft of that size, as Bob sees it."""
    made = []

    def of_size(size: tuple[int, int]) -> Page:
        bundle = Bundle(large_conf(*size), {})
        made.append(services.create_draft(bundle=bundle, name="played", user=users["alice"]))
        return Page(manager, people["bob"], made[-1])

    yield of_size
    for draft in made:
        draft.delete()


def newest(page: Page) -> WhatIf:
    return page.draft.whatifs.get()


def test_worker_plays_what_the_page_started(page, workers):
    shown = page(SMALL)
    shown.press("start")

    text = shown.until("failures are not covered")

    assert "server01 fails" in text
    row = newest(shown)
    assert (row.state, row.done, row.error) == ("done", row.total, "")
    assert row.result["after"]["rows"]


def test_long_play_is_watched_and_stopped_from_the_page(page, workers):
    shown = page(LONG)
    shown.press("start")
    first = stack.until(lambda: shown.played, "the first failure that was played", step_s=0.3)
    stack.until(lambda: shown.played > first, "further ones", step_s=0.3)

    shown.press("cancel")

    assert "What was played until then counts." in shown.until("It was stopped")
    row = newest(shown)
    assert row.state == "stopped"
    assert first < row.done < row.total
    assert any(side["rows"] for side in row.result.values())  # Of the draft or of what it is compared with.


def test_play_of_a_killed_worker_is_given_up_and_can_be_started_again(page, workers):
    shown = page(SMALL)
    lost = WhatIf.objects.create(draft=shown.draft, revision=1, by="bob", after=bytes(shown.draft.conf))
    long_ago = lost.told_at - datetime.timedelta(seconds=1000)
    WhatIf.objects.filter(pk=lost.pk).update(state="running", told_at=long_ago)

    assert "The worker that played it ended in the middle." in shown.get()

    shown.press("start")
    shown.until("failures are not covered")
    assert sorted(shown.draft.whatifs.values_list("state", flat=True)) == ["done", "failed"]


@pytest.mark.skipif(not MANY, reason="of one worker: OPENCLP_TEST_STACK=many has two")
def test_play_goes_on_with_the_other_worker_when_one_was_killed(page, workers):
    shown, logs = page(LONG), workers.logs()
    before = [log.read_text().count(" received") for log in logs]
    shown.press("start")
    stack.until(lambda: shown.played, "the first failure that was played", step_s=0.3)
    (at_it,) = [n for n, log in enumerate(logs) if log.read_text().count(" received") > before[n]]

    workers.processes[at_it].kill()
    workers.processes[at_it].wait()

    row = newest(shown)
    WhatIf.objects.filter(pk=row.pk).update(told_at=row.told_at - datetime.timedelta(seconds=1000))
    assert "The worker that played it ended in the middle." in shown.get()
    shown.press("start")
    stack.until(lambda: shown.played, "what the other one plays", step_s=0.3)
    shown.press("cancel")
    shown.until("It was stopped")
