"""The simulator's word on a draft: played by the task, shown side by side, stopped on request."""

from __future__ import annotations

import pytest
from django.urls import reverse

from agent.catalog import specs
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit
from builder import contents, tasks
from builder.models import WhatIf

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(draft):
    document = Document.read(contents.unpack(draft.conf))
    edit = Edit(document, specs())
    edit.remove("monitor/ipw@ipw2")  # It lacks its address; a configuration with errors cannot be played.
    before = contents.pack(document.write())
    edit.set_policy("failover2", ["server1"])
    after = contents.pack(document.write())
    return WhatIf.objects.create(draft=draft, revision=1, by="alice", before=before, after=after)


def test_both_sides_are_played_and_shown(client, draft, waiting):
    tasks.play_whatif(waiting.pk)

    waiting.refresh_from_db()
    assert (waiting.state, waiting.done) == ("done", waiting.total)
    crash = {side: next(row for row in waiting.result[side]["rows"] if row["text"] == "server1 fails")
             for side in ("before", "after")}  # fmt: skip
    assert (crash["before"]["covered"], crash["after"]["covered"]) == (True, False)
    assert waiting.result["after"]["proven"]
    answer = client("charlie").get(reverse("builder-whatif", args=(draft.pk,)))
    assert answer.status_code == 200
    assert "server1 fails" in answer.content.decode()


def test_page_of_a_play_under_way_is_loaded_anew_only_without_scripts(client, draft, waiting):
    """A page that loads itself anew takes the focus, the place and what is open with it."""
    answer = client("charlie").get(reverse("builder-whatif", args=(draft.pk,)))
    text = answer.content.decode()
    assert "Refresh" not in answer.headers
    assert '<noscript><meta http-equiv="refresh"' in text
    assert text.count('http-equiv="refresh"') == 1


def test_it_ends_when_it_is_told_to(client, draft, waiting):
    WhatIf.objects.filter(pk=waiting.pk).update(cancel=True)

    tasks.play_whatif(waiting.pk)

    waiting.refresh_from_db()
    assert waiting.state == "stopped"
    assert waiting.done < waiting.total


def test_unreadable_configuration_is_told_and_viewer_may_not_start(client, draft, waiting):
    WhatIf.objects.filter(pk=waiting.pk).update(after=contents.pack(b"<root/>"), before=b"")
    tasks.play_whatif(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.state, bool(waiting.error)) == ("failed", True)
    assert client("charlie").post(reverse("builder-whatif-start", args=(draft.pk,))).status_code == 403
