"""Drafts for programs below /api/v2: made, read, changed by two people, judged, kept and restored."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.builder.conftest import CONF
from webmanager.accounts.models import AuditEntry

pytestmark = pytest.mark.slow
API = "/api/v2"
IP = "/root/resource/fip@fip1/parameters/ip"
SECRET = "geheim"


class Person:
    def __init__(self, client: Any) -> None:
        self.client = client

    def call(self, method: str, path: str, body: Any = None, match: str = "") -> tuple[int, Any, Any]:
        """(status, answer, headers)"""
        more = {"HTTP_IF_MATCH": match} if match else {}
        if body is not None:
            more |= {"data": json.dumps(body), "content_type": "application/json"}
        found = getattr(self.client, method)(f"{API}/{path}", **more)
        return found.status_code, found.json(), found.headers

    def get(self, path: str) -> Any:
        status, answer, _ = self.call("get", path)
        assert status == 200, answer
        return answer

    def post(self, path: str, body: Any = None, match: str = "") -> tuple[int, Any]:
        return self.call("post", path, body or {}, match)[:2]


@pytest.fixture
def alice(client, users):
    return Person(client())


@pytest.fixture
def bob(client, users):
    return Person(client("bob"))


def set_ip(value: str) -> dict[str, Any]:
    return {"op": "set", "path": IP, "value": value}


def test_draft_of_a_file_is_made_changed_read_and_deleted(alice, users):
    conf = base64.b64encode(CONF).decode()
    status, made, headers = alice.call("post", "drafts", {"name": "v2", "conf": conf})
    path = headers["Location"].removeprefix(f"{API}/")
    assert (status, headers["ETag"], made["converted"]) == (201, '"1"', [])

    changes = [set_ip("10.0.0.9"), {"op": "command", "words": ["add", "rsc", "failover2", "exec", "late"]}]
    status, answer, headers = alice.call("post", f"{path}/changes", {"changes": changes}, '"1"')
    assert (status, answer["draft"]["revision"], headers["ETag"]) == (200, 2, '"2"')

    named = {one["name"]: one["path"] for one in alice.get(f"{path}/objects?kind=resource")["objects"]}
    assert named["late"] == "/root/resource/exec@late"
    values = {one["path"]: one["value"] for one in alice.get(f"{path}/values?path=/root/resource/fip@fip1")["values"]}
    assert values[IP] == "10.0.0.9"
    assert "10.0.0.9" in alice.get(f"{path}/xml")["xml"]
    detail = alice.get(path)["draft"]
    assert (detail["owner"], detail["redo"]) == ("alice", "")
    assert "add rsc failover2 exec late" in detail["undo"]
    assert alice.post(f"{path}/undo", match='"2"')[1]["draft"]["revision"] == 3
    assert base64.b64decode(alice.get(f"{path}/file")["conf"]) == CONF
    assert alice.post(f"{path}/undo", match='"3"')[0] == 422
    assert alice.call("delete", path)[0] == 200
    assert alice.call("get", path)[0] == 404


def test_the_later_of_two_people_is_told_both_values_and_nothing_is_lost(alice, client, draft):
    other, path = Person(client()), f"drafts/{draft.pk}"
    assert alice.post(f"{path}/changes", {"changes": [set_ip("10.0.0.8")]}, '"1"')[0] == 200

    status, answer = other.post(f"{path}/changes", {"revision": 1, "changes": [set_ip("10.0.0.9")]})

    told = answer["conflict"]
    assert (status, told["revision"], told["by"]) == (409, 2, "alice")
    assert [(one["path"], one["before"], one["after"]) for one in told["differences"]] == [(IP, "10.0.0.8", "10.0.0.9")]
    assert [step["revision"] for step in told["steps"]] == [2]
    draft.refresh_from_db()
    assert draft.revision == 2
    gone = [{"op": "remove", "path": "/root/resource/fip@nosuch"}]
    told = other.post(f"{path}/changes", {"revision": 1, "changes": gone})[1]["conflict"]
    assert told["differences"] == []
    assert "nosuch" in told["why"]
    assert other.post(f"{path}/undo", {"revision": 1})[0] == 409
    assert other.post(f"{path}/apply", {"revision": 1, "why": "x", "cluster": "nosuch"})[0] == 404
    assert other.post(f"{path}/changes", {"changes": [set_ip("10.0.0.9")]}, "*")[1]["draft"]["revision"] == 3


def test_whoever_does_not_say_what_was_read_changes_nothing(alice, draft):
    changes = {"changes": [set_ip("10.0.0.9")]}
    assert alice.post(f"drafts/{draft.pk}/changes", changes)[0] == 428
    assert alice.post(f"drafts/{draft.pk}/changes", changes, "yesterday")[0] == 400
    assert alice.post(f"drafts/{draft.pk}/changes", {**changes, "revision": 2}, '"1"')[0] == 400
    draft.refresh_from_db()
    assert draft.revision == 1


def test_preview_tells_what_would_change_and_stores_nothing(alice, draft):
    wish = {"changes": [set_ip("10.0.0.9")], "preview": True}

    status, answer = alice.post(f"drafts/{draft.pk}/changes", wish)

    assert status == 200
    assert [(one["after"], one["applies"]) for one in answer["differences"]] == [("10.0.0.9", "group")]
    draft.refresh_from_db()
    assert draft.revision == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [(["add", "srv"], 400), (["drop", "srv", "server1"], 400), ([], 400), (["del", "srv", "nosuch"], 422),
     (["add", "hb", "lankhb", "x", "1"], 400)],
)  # fmt: skip
def test_words_that_clpcfset_refuses_are_refused(alice, draft, words, status):
    wish = {"revision": 1, "changes": [{"op": "command", "words": words}]}
    assert alice.post(f"drafts/{draft.pk}/changes", wish)[0] == status
    draft.refresh_from_db()
    assert draft.revision == 1


def test_no_secret_is_shown_or_kept_beside_the_file(alice, bob, draft):
    words = ["add", "smtpsrv", "1", "mail.example", "25", "a@example", "1", "LOGIN", "postmaster", SECRET]
    where = "/root/cluster/mail/smtp/smtpsrv@0/passwd"
    changes = [{"op": "command", "words": words}]
    status, answer = alice.post(f"drafts/{draft.pk}/changes", {"revision": 1, "changes": changes, "preview": True})
    assert status == 200
    assert alice.post(f"drafts/{draft.pk}/changes", {"revision": 1, "changes": changes})[0] == 200

    seen = [answer, alice.get(f"drafts/{draft.pk}")]
    for path in ("xml", "objects?search=geheim", "values?path=/root/cluster", "findings"):
        seen.append(bob.get(f"drafts/{draft.pk}/{path}"))
    later = {"revision": 1, "changes": [{"op": "set", "path": where, "value": f"{SECRET}er"}]}
    seen.append(alice.post(f"drafts/{draft.pk}/changes", later)[1])

    assert SECRET not in json.dumps(seen)
    assert "****" in json.dumps(seen[2])
    assert SECRET in base64.b64decode(alice.get(f"drafts/{draft.pk}/file")["conf"]).decode()


def test_scripts_are_written_removed_and_listed(alice, bob, draft):
    path = f"drafts/{draft.pk}/scripts"
    script = {"path": "failover1/exec1/stop.sh", "data": base64.b64encode(b"#!/bin/sh\n").decode(), "mode": "700"}
    assert alice.call("put", path, script, '"1"')[0] == 200
    listed = {"path": "failover1/exec1/stop.sh", "size": 10, "mode": "0700"}
    assert listed in bob.get(path)["scripts"]
    assert alice.call("put", path, {"path": script["path"], "revision": 2})[0] == 200
    assert listed not in bob.get(path)["scripts"]
    assert alice.call("put", path, {**script, "path": "../x"}, "*")[0] == 400
    assert bob.call("put", path, script, "*")[0] == 403


def test_version_is_kept_found_and_restored(alice, bob, draft):
    status, kept = alice.post(f"drafts/{draft.pk}/versions", {"why": "before the move"})
    key = kept["version"]["id"]
    assert status == 201
    assert bob.get(f"versions/{key}")["version"]["why"] == "before the move"
    assert bob.get(f"drafts/{draft.pk}/diff?with=version:{key}")["differences"] == []
    assert bob.call("get", f"versions/{key}/file")[0] == 403
    status, made = alice.post(f"versions/{key}/restore")
    assert (status, made["draft"]["name"]) == (201, "before the move")
    assert base64.b64decode(alice.get(f"drafts/{made['draft']['id']}/file")["conf"]) == CONF
    assert alice.call("delete", f"drafts/{made['draft']['id']}")[0] == 200


def test_what_is_wrong_and_what_an_apply_needs_is_told(alice, bob, draft):
    assert alice.post(f"drafts/{draft.pk}/changes", {"revision": 1, "changes": [set_ip("")]})[0] == 200

    assert IP in {one["path"] for one in bob.get(f"drafts/{draft.pk}/findings")["findings"]}
    told = bob.get(f"drafts/{draft.pk}/plan")
    assert not told["possible"]
    assert IP in {one["path"] for one in told["errors"]}
    broken = base64.b64encode(CONF.replace(b"10.0.0.100", b"10.0.0.777")).decode()
    assert IP in {one["path"] for one in bob.post("findings", {"conf": broken})[1]["findings"]}


def test_what_if_of_a_draft_is_asked_for_and_stopped(alice, client, draft, monkeypatch):
    from builder import playing

    asked: list[int] = []
    monkeypatch.setattr(playing.play_whatif, "delay", asked.append)
    path, charlie = f"drafts/{draft.pk}/whatif", Person(client("charlie"))
    assert charlie.get(path)["whatif"] is None
    assert charlie.post(path)[0] == 403

    status, answer = alice.post(path)

    assert (status, answer["whatif"]["state"], asked) == (202, "waiting", [answer["whatif"]["id"]])
    assert alice.post(path)[1]["whatif"]["id"] == answer["whatif"]["id"]
    assert len(asked) == 1
    assert alice.post(f"{path}/stop")[1]["whatif"]["state"] == "stopped"


def test_only_one_source_makes_a_draft(alice, bob):
    assert alice.post("drafts", {"version": 1, "conf": "x"})[0] == 400
    assert alice.post("drafts", {})[0] == 400
    assert bob.post("drafts", {"conf": base64.b64encode(CONF).decode()})[0] == 403
    assert alice.post("drafts", {"conf": base64.b64encode(b"<root>").decode()})[0] == 422


def test_drafts_are_told_in_the_audit(alice, draft):
    before = AuditEntry.objects.count()
    _, made = alice.post(f"drafts/{draft.pk}/versions", {"why": "x"})
    _, copy = alice.post(f"versions/{made['version']['id']}/restore")
    alice.call("delete", f"drafts/{copy['draft']['id']}")

    told = list(AuditEntry.objects.order_by("number").values_list("action", "who")[before:])

    assert told == [("draft.add", "alice"), ("draft.delete", "alice")]
