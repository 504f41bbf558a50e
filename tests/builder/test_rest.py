"""The Builder for programs."""

from __future__ import annotations

import base64
import json

import pytest

from tests.builder.conftest import CONF

pytestmark = pytest.mark.slow
API = "/api/v1/configuration"
IP = "/root/resource/fip@fip1/parameters/ip"


def call(client, method, path, body=None):
    answer = getattr(client, method)(f"{API}/{path}", None if body is None else json.dumps(body),
                                     content_type="application/json") if body is not None else getattr(client, method)(
        f"{API}/{path}")  # fmt: skip
    return answer.status_code, answer.json()


def test_draft_is_made_changed_taken_back_compared_and_deleted(client, users):
    alice = client()
    _, made = call(alice, "post", "drafts", {"name": "rest", "conf": base64.b64encode(CONF).decode()})
    key = made["draft"]["id"]
    late = {"op": "add_resource", "group": "failover2", "type": "exec", "name": "late"}
    change = {"revision": 1, "changes": [{"op": "set", "path": IP, "value": "10.0.0.9"}, late]}
    status, answer = call(alice, "post", f"drafts/{key}/changes", change)
    assert (status, answer["draft"]["revision"]) == (200, 2)
    status, answer = call(alice, "post", f"drafts/{key}/changes", change)
    assert status == 409
    assert "revision 2" in answer["result"]["message"]
    _, kept = call(alice, "post", f"drafts/{key}/versions", {"why": "a test"})
    assert call(alice, "post", f"drafts/{key}/undo", {"revision": 2})[1]["draft"]["revision"] == 3
    version = kept["versions"][0]["id"]
    found = call(alice, "get", f"diff?before=draft:{key}&after=version:{version}")[1]["differences"]
    assert {one["name"] for one in found} >= {"fip1", "late"}
    assert base64.b64decode(call(alice, "get", f"drafts/{key}/file")[1]["conf"]) == CONF
    assert call(alice, "delete", f"drafts/{key}")[0] == 200
    assert call(alice, "get", f"drafts/{key}")[0] == 404


def test_refused_change_leaves_nothing_behind(client, draft):
    body = {
        "revision": 1,
        "changes": [{"op": "set", "path": IP, "value": "10.0.0.9"}, {"op": "add_group", "name": "a b"}],
    }
    status, answer = call(client(), "post", f"drafts/{draft.pk}/changes", body)

    assert status == 422
    assert "name.syntax" in answer["result"]["message"]
    draft.refresh_from_db()
    assert draft.revision == 1
    assert call(client(), "post", f"drafts/{draft.pk}/changes", {"revision": 1, "changes": [{"op": "set"}]})[0] == 400


def test_others_read_and_change_nothing(client, draft):
    for person in ("bob", "charlie"):
        reader = client(person)
        assert call(reader, "get", "drafts")[0] == 200
        assert call(reader, "get", f"drafts/{draft.pk}/validation")[0] == 200
        assert call(reader, "get", f"drafts/{draft.pk}/file")[0] == 403
        assert call(reader, "post", f"drafts/{draft.pk}/undo", {"revision": 1})[0] == 403
        assert call(reader, "post", "drafts", {"conf": "x"})[0] == 403
    assert call(client(""), "get", "drafts")[0] == 401


def test_validation_of_a_file_names_code_place_and_line(client, users):
    broken = base64.b64encode(CONF.replace(b"10.0.0.100", b"10.0.0.777")).decode()
    found = call(client("bob"), "post", "validation", {"conf": broken})[1]["findings"]
    assert [one["path"] for one in found if one["code"] == "value.syntax"] == [IP]

    unreadable = base64.b64encode(b"<root><a></root>").decode()
    found = call(client("bob"), "post", "validation", {"conf": unreadable})[1]["findings"]
    assert found[0]["line"] == 1


def test_schema_names_every_path(client):
    schema = client().get("/api/schema", HTTP_ACCEPT="application/vnd.oai.openapi+json").content.decode()

    for path in ("drafts", "drafts/{key}/changes", "validation", "diff", "versions"):
        assert f"/api/v1/configuration/{path}" in schema
