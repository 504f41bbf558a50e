"""The chain: what is told, that it cannot be changed unseen, and how it is taken away."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading

import pytest

from tests.webmanager.accounts.visitor import rows
from tests.webmanager.stack import PASSWORD, ROOT


@pytest.fixture
def audit(environment):
    from webmanager.accounts import audit

    return audit


@pytest.fixture
def forge(audit):
    """Somebody with the whole database: forge(sql, …) works below the triggers; all is put back afterwards."""
    from django.db import connection, transaction

    with transaction.atomic():
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                for name in ("audit_no_update", "audit_no_delete"):
                    cursor.execute(f"DROP TRIGGER {name}")
            else:
                cursor.execute("ALTER TABLE accounts_auditentry DISABLE TRIGGER audit_append_only")
            audit.add("test", who="a", target="one")
            audit.add("test", who="b", target="two", detail={"what": "näh"})
            audit.add("test", who="c", target="three")
            yield cursor.execute
        transaction.set_rollback(True)


def test_chain_is_whole_and_each_row_holds_the_hash_of_the_one_before(audit):
    first = audit.add("test", who="alice", address="192.0.2.1", target="x", cluster="c", detail={"a": "ü"})
    second = audit.add("test", who="\0bob\ud800", result="failed")
    assert second.before == first.hash
    assert second.number == first.number + 1
    assert audit.verify().whole
    assert audit.verify().rows == second.number


def test_exported_lines_can_be_checked_without_this_program(audit):
    after = audit.add("test", who="alice").number - 1
    audit.add("test", who="bob", detail={"text": "日本"})
    lines = [json.loads(line) for line in audit.lines(after)]
    assert [line["who"] for line in lines] == ["alice", "bob"]
    for line in lines:
        told = line.pop("hash")
        text = json.dumps(line, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == told
    assert lines[1]["before"] == audit.hash_of(lines[0])


def test_database_refuses_to_change_and_to_remove(audit):
    from django.db import DatabaseError, transaction

    from webmanager.accounts.models import AuditEntry

    number = audit.add("test", who="alice").number
    for change in (
        lambda: AuditEntry.objects.filter(number=number).update(who="mallory"),
        lambda: AuditEntry.objects.filter(number=number).delete(),
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()
    assert AuditEntry.objects.get(number=number).who == "alice"


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE accounts_auditentry SET who = 'mallory' WHERE who = 'b'", "is not as it was written"),
        ("UPDATE accounts_auditentry SET detail = '{}' WHERE who = 'b'", "is not as it was written"),
        ("DELETE FROM accounts_auditentry WHERE who = 'b'", "is missing"),
        ("DELETE FROM accounts_auditentry WHERE who = 'c'", "The end is missing"),
        ("UPDATE accounts_audithead SET seal = 'x'", "The seal does not fit"),
        ("UPDATE accounts_audithead SET number = number - 1", "was not added by this program"),
    ],
)
def test_forgery_is_seen(audit, forge, sql, why):
    assert audit.verify().whole
    forge(sql)
    verdict = audit.verify()
    assert not verdict.whole
    assert why in verdict.why


def test_rows_made_anew_lack_the_seal(audit, forge):
    """Whoever has the database can compute every hash, but not the seal."""
    from webmanager.accounts.models import AuditEntry, AuditHead

    before = None
    for row in AuditEntry.objects.order_by("number"):
        row.who = "mallory" if row.who == "b" else row.who
        row.before = row.before if before is None else before
        before = row.hash = audit.hash_of(audit.as_dict(row))
        row.save()
    AuditHead.objects.update(hash=before)
    assert "seal" in audit.verify().why


@pytest.mark.slow
def test_rows_of_many_at_once_are_one_chain(audit):
    from django.db import connection

    before = audit.verify().rows

    def some(number: int) -> None:
        try:
            for _ in range(10):
                audit.add("test", who=f"thread{number}")
        finally:
            connection.close()

    threads = [threading.Thread(target=some, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = audit.verify()
    assert (verdict.whole, verdict.rows) == (True, before + 40)


def test_operations_are_told_with_their_end(environment, people, cluster):
    from django.utils import timezone

    from webmanager.models import Cluster, Operation

    owner = Cluster.objects.create(name=cluster)
    operation = Operation.objects.create(cluster=owner, op="group_move", target="failover1", by="bob@192.0.2.3")
    operation.save()
    operation.state, operation.text, operation.ended_at = "refused", "No.", timezone.now()
    operation.save()
    found = rows("operation.group_move", cluster=cluster)
    assert [(row.who, row.address, row.target, row.result) for row in found] == [
        ("bob", "192.0.2.3", "failover1", "asked"), ("bob", "192.0.2.3", "failover1", "refused"),
    ]  # fmt: skip
    assert found[1].detail["text"] == "No."


def test_tokens_are_told_without_themselves(environment, people, user):
    from webmanager.api import tokens

    one = user()
    row, token = tokens.make(user=one, name="poller", days=1, read_only=True)
    tokens.revoke(user=one, key=row.key)
    told = [rows(f"token.{what}", target=one.get_username())[0] for what in ("add", "revoke")]
    assert [row.detail for row in told] == [{"name": "poller"}] * 2
    assert token not in json.dumps([row.detail for row in told])


@pytest.mark.slow
def test_no_secret_is_in_the_audit(visitor, user, people):
    """After all that the tests of this directory did with them, too."""
    from webmanager.accounts.audit import lines

    visitor().sign_in(user().get_username())
    text = "".join(lines())
    assert PASSWORD not in text
    for session in people.values():
        assert session not in text
    assert "openclp-join-1." not in text


@pytest.mark.slow
def test_command_verifies_and_exports(audit, environment):
    audit.add("test", who="command")

    def manage(*words: str) -> subprocess.CompletedProcess[str]:
        import os

        argv = [sys.executable, "manage.py", "audit", *words]
        return subprocess.run(
            argv, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
        )

    done = manage("verify")
    assert (done.returncode, "as they were written" in done.stdout) == (0, True), done.stderr
    assert json.loads(manage("export").stdout.splitlines()[0])["number"] == 1


@pytest.mark.slow
def test_page_filters_checks_and_exports(visitor, people):
    alice = visitor(people["alice"])
    alice.get("/audit/export?after=0")
    assert json.loads(alice.text.splitlines()[0])["number"] == 1
    assert alice.get("/audit/?action=audit.export&verify=1") == 200
    assert "rows are as they were written" in alice.words()
    assert "audit.export" in alice.text
    assert '<td class="mono">sign_in</td>' not in alice.text
