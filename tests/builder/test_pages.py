"""The pages of the Builder without JavaScript: what they show, what they store, and who may."""

from __future__ import annotations

import pytest
from django.urls import reverse

from builder.models import Draft, Version

pytestmark = pytest.mark.slow
SECRET = "five-boats"
FIP = "/root/resource/fip@fip1"


def url(name, draft, /, **query):
    from urllib.parse import urlencode

    return reverse(f"builder-{name}", args=(draft.pk,)) + (f"?{urlencode(query)}" if query else "")


def post(client, name, draft, /, **fields):
    return client.post(url(name, draft), {"revision": draft.revision, **fields})


PAGES = ["draft", "findings", "plan", "history", "xml", "scripts", "search"]
PATHS = ["/root/cluster", "/root/cluster/mail", "/root/server@server1", "/root/group@failover1", FIP,
         "/root/resource/exec@exec1", "/root/monitor/ipw@ipw1", "/root/heartbeat/lanhb@lanhb1",
         "/root/networkpartition/majonp@majonp1", "/root/webmgr", "/root/pm"]  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_shown_to_everybody_without_secrets(client, draft, name):
    for person in ("alice", "charlie"):
        answer = client(person).get(url(name, draft))
        assert answer.status_code == 200
        assert SECRET not in answer.content.decode()


@pytest.mark.parametrize("path", PATHS)
def test_every_kind_of_object_has_a_form(client, draft, path):
    answer = client().get(url("draft", draft, at=path))

    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()
    assert 'name="was:' in answer.content.decode() or path.endswith("majonp1")


def test_list_leads_each_draft_to_the_object_that_the_console_showed(client, draft):
    listed = client().get(reverse("builder"), {"at": FIP}).content.decode()

    assert f"{reverse('builder-draft', args=(draft.pk,))}?at=/root/resource/fip%40fip1" in listed
    listed = client().get(reverse("builder"), {"at": "javascript:alert(1)"}).content.decode()
    assert f'{reverse("builder-draft", args=(draft.pk,))}"' in listed


@pytest.mark.parametrize("name", ["save", "policy", "undo", "rename", "keep", "script"])
def test_viewer_and_operator_change_nothing(client, draft, name):
    for person in ("bob", "charlie"):
        assert post(client(person), name, draft, at=FIP, path="x").status_code == 403
    draft.refresh_from_db()
    assert draft.revision == 1


def test_saved_field_is_stored_and_can_be_taken_back_and_done_again(client, draft):
    before = draft.bundle.conf
    answer = post(
        client(), "save", draft, at=FIP, **{"was:parameters/ip": "10.0.0.100", "value:parameters/ip": "10.0.0.7"}
    )
    assert answer.status_code == 302
    draft.refresh_from_db()
    assert draft.revision == 2
    changed = draft.bundle.conf
    assert changed == before.replace(b"10.0.0.100", b"10.0.0.7")

    assert post(client(), "undo", draft, at=FIP).status_code == 302
    draft.refresh_from_db()
    assert draft.bundle.conf == before

    assert post(client(), "redo", draft, at=FIP).status_code == 302
    draft.refresh_from_db()
    assert (draft.revision, draft.bundle.conf) == (4, changed)


def test_stale_revision_shows_both_values_and_stores_nothing(client, draft):
    field = {"was:parameters/ip": "10.0.0.100", "value:parameters/ip": "10.0.0.7"}
    post(client(), "save", draft, at=FIP, **field)
    field["value:parameters/ip"] = "10.0.0.8"

    answer = post(client(), "save", draft, at=FIP, **field)

    assert answer.status_code == 409
    text = answer.content.decode()
    assert "10.0.0.7" in text
    assert "10.0.0.8" in text
    draft.refresh_from_db()
    assert b"10.0.0.8" not in draft.bundle.conf
    chosen = {"was:parameters/ip": "10.0.0.7", "value:parameters/ip": "10.0.0.8"}
    assert post(client(), "save", draft, at=FIP, **chosen).status_code == 302
    draft.refresh_from_db()
    assert b"10.0.0.8" in draft.bundle.conf


def test_bad_value_is_refused_with_its_reason_and_stays_in_the_form(client, draft):
    fields = {"was:parameters/ip": "10.0.0.100", "value:parameters/ip": "10.0.0.777",
              "was:comment": "", "value:comment": "kept in the form"}  # fmt: skip
    answer = post(client(), "save", draft, at=FIP, **fields)

    assert answer.status_code == 422
    text = answer.content.decode()
    assert 'value="10.0.0.777"' in text
    assert 'name="was:comment" value=""' in text
    assert 'value="kept in the form"' in text
    assert "Write an IPv4 or IPv6 address" in text
    draft.refresh_from_db()
    assert draft.revision == 1


def test_secret_is_kept_changed_and_taken_out(client, draft):
    at, path = "/root/cluster/mail", "smtp/smtpsrv@0/passwd"
    untouched = {f"was:{path}": "", f"value:{path}": ""}
    post(client(), "save", draft, at=at, **untouched)
    draft.refresh_from_db()
    assert SECRET.encode() in draft.bundle.conf

    post(client(), "save", draft, at=at, **{f"was:{path}": "", f"value:{path}": "six-boats"})
    draft.refresh_from_db()
    assert b"six-boats" in draft.bundle.conf

    post(client(), "save", draft, at=at, **untouched, **{f"clear:{path}": "1"})
    draft.refresh_from_db()
    assert b"six-boats" not in draft.bundle.conf


def test_xml_with_masked_secrets_is_stored_with_the_real_ones(client, draft):
    text = client().get(url("xml", draft, edit=1)).context["text"]
    assert "********" in text

    answer = post(client(), "xml", draft, text=text.replace("10.0.0.100", "10.0.0.9").replace("\n", "\r\n"))

    assert answer.status_code == 302
    before = draft.bundle.conf
    draft.refresh_from_db()
    assert draft.bundle.conf == before.replace(b"10.0.0.100", b"10.0.0.9")


def test_broken_xml_is_refused_with_its_line(client, draft):
    answer = post(client(), "xml", draft, text="<root>\n<cluster>\n</root>\n")

    assert answer.status_code == 422
    assert "line 2" in answer.content.decode()


def test_policy_is_ordered_by_buttons(client, draft):
    at, names = "/root/group@failover1", ["server1", "server2", "server3"]
    post(client(), "policy", draft, at=at, servers=names, shift="server3:up")
    draft.refresh_from_db()

    answer = client().get(url("draft", draft, at=at))

    assert answer.context["policy"]["servers"] == ["server1", "server3", "server2"]


def test_objects_are_added_renamed_moved_and_removed(client, draft):
    alice = client()
    for kind, more in (("group", {}), ("resource", {"type": "exec", "group": "web"}), ("monitor", {"type": "genw"}),
                       ("server", {}), ("heartbeat", {"type": "lanhb", "device": "1"})):  # fmt: skip
        name = "web" if kind == "group" else f"new-{kind}"
        answer = post(alice, "add", draft, kind=kind, name=name, **more)
        assert answer.status_code == 302, answer.content.decode()
        draft.refresh_from_db()
    assert post(alice, "add", draft, kind="group", name="web").status_code == 422
    at = "/root/resource/exec@new-resource"
    assert post(alice, "move", draft, at=at, group="failover1").status_code == 302
    draft.refresh_from_db()
    assert post(alice, "rename", draft, at=at, name="later").status_code == 302
    draft.refresh_from_db()
    assert b"exec@later" in draft.bundle.conf
    at = "/root/resource/exec@later"
    assert alice.get(url("remove", draft, at=at)).status_code == 200
    assert post(alice, "remove", draft, at=at).status_code == 302
    draft.refresh_from_db()
    assert b"exec@later" not in draft.bundle.conf


def test_scripts_follow_their_resource_and_can_be_edited(client, draft):
    alice = client()
    post(alice, "rename", draft, at="/root/resource/exec@exec1", name="web")
    draft.refresh_from_db()
    assert list(draft.bundle.scripts) == ["failover1/web/start.sh"]
    post(alice, "script", draft, path="failover1/web/stop.sh", text="#!/bin/sh\r\nexit 1\r\n", mode="0700")
    draft.refresh_from_db()
    script = draft.bundle.scripts["failover1/web/stop.sh"]
    assert (script.data, script.mode) == (b"#!/bin/sh\nexit 1\n", 0o700)
    assert post(alice, "script", draft, path="../evil", text="x", mode="0700").status_code == 422


def test_upload_download_and_comparison(client, draft, users):
    from django.core.files.uploadedfile import SimpleUploadedFile

    alice = client()
    data = alice.get(url("download", draft, format="tar.gz")).content
    answer = alice.post(reverse("builder-create"), {"file": SimpleUploadedFile("x.tar.gz", data)})
    assert answer.status_code == 302
    other = Draft.objects.first()
    assert other.bundle.conf == draft.bundle.conf
    assert other.bundle.scripts == draft.bundle.scripts
    post(alice, "save", draft, at=FIP, **{"was:parameters/ip": "10.0.0.100", "value:parameters/ip": "10.0.0.7"})
    answer = alice.get(reverse("builder-compare"), {"before": f"draft:{other.pk}", "after": f"draft:{draft.pk}"})
    assert answer.context["count"] == 1
    assert client("charlie").get(url("download", draft)).status_code == 403
    version = Version.objects.first()
    assert alice.post(reverse("builder-restore", args=(version.pk,))).status_code == 302
    bad = alice.post(reverse("builder-create"), {"file": SimpleUploadedFile("x.conf", b"<root><a></root>")})
    assert bad.status_code == 422
    assert "line 1" in bad.content.decode()


def test_presence_names_the_others_and_tells_of_a_newer_revision(client, draft):
    client("bob").get(url("draft", draft))

    answer = client().get(url("presence", draft, revision=draft.revision + 1)).content.decode()

    assert "bob" in answer
    assert "load the page" in answer


def test_search_finds_names_and_values_but_no_secret(client, draft):
    found = client().get(url("search", draft, q="10.0.0.254")).context["found"]
    assert [one.path for one in found] == ["/root/monitor/ipw@ipw1"]
    assert client().get(url("search", draft, q=SECRET)).context["found"] == []
    assert len(client().get(url("search", draft, kind="server")).context["found"]) == 3


@pytest.mark.parametrize(("kind", "count"), [("service", 3), ("mirror", 2), ("shared", 2), ("spare", 4)])
def test_wizard_makes_a_draft_without_errors(client, users, kind, count):
    from builder import documents

    servers = {
        f"{field}{n}": f"10.0.{net}.{n}" for n in range(1, count + 1) for net, field in enumerate(("first", "second"))
    }
    names = {f"name{n}": f"server{n}" for n in range(1, count + 1)}
    addresses = {f"address{n}": f"10.0.0.{100 + n}" for n in range(1, count + 1)}
    more = {"cluster": "new", "group": "failover1", "resolver": "majonp" if count > 2 else "pingnp",
            "ping": "10.0.0.254", "data": "/dev/sdb2", "control": "/dev/sdb1", "device": "/dev/sdb1",
            "mount": "/mnt", "fs": "ext4", "start": "systemctl start web", "stop": "systemctl stop web"}  # fmt: skip
    assert client().get(reverse("builder-wizard"), {"kind": kind, "count": count}).status_code == 200
    answer = client().post(
        reverse("builder-wizard"), {"kind": kind, "count": count, **servers, **names, **addresses, **more}
    )

    assert answer.status_code == 302, answer.context["wrong"]
    draft = Draft.objects.first()
    assert [str(f) for f in documents.findings(draft) if f.severity == "error"] == []
    assert len(draft.bundle.scripts) == 2 * (count - 1 if kind == "spare" else 1)


def test_wizard_says_what_is_wrong_and_keeps_the_answers(client, users):
    answer = client().post(
        reverse("builder-wizard"), {"kind": "service", "count": "2", "cluster": "a b", "first1": "x"}
    )

    assert answer.status_code == 422
    assert {"cluster", "first1", "name1"} <= set(answer.context["wrong"])
    assert 'value="a b"' in answer.content.decode()


def test_steps_are_told_in_the_readers_language(client, draft):
    post(client(), "save", draft, at=FIP, **{"was:parameters/ip": "10.0.0.100", "value:parameters/ip": "10.0.0.7"})
    japanese = client()
    japanese.cookies["django_language"] = "ja"

    assert "fip1: IP アドレス" in japanese.get(url("history", draft)).content.decode()


def test_upload_beyond_the_limit_is_refused_before_it_is_read(client, users, monkeypatch):
    from django.core.files.uploadedfile import SimpleUploadedFile

    from builder import uploads

    monkeypatch.setattr(uploads, "MAX_ARCHIVE_BYTES", -uploads._REST)

    assert client().post(reverse("builder-create"), {"file": SimpleUploadedFile("x", b"<root/>")}).status_code == 400
