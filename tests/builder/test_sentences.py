"""What reading, loading and editing a configuration refuse is said in the reader's language, with its values."""

from __future__ import annotations

import re

import pytest
from django.utils import translation

from agent.catalog import specs
from agent.clpconf.diff import diff
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.edit import Edit, EditError
from agent.clpconf.load import load
from agent.clpconf.plan import plan
from builder import words
from builder.locale import sentences, vocabulary
from tests.builder.conftest import CONF
from webmanager.locale.catalogue import read_po

KNOWN = read_po(sentences.PO)


def test_every_sentence_has_a_japanese_one_with_its_values():
    def marks(text: str) -> set[str]:
        return set(re.findall(r"\{\d\}", text))

    wanted, everywhere = set(sentences.wanted()), vocabulary.compiled()
    assert wanted - set(everywhere) == set()
    assert [text for text in KNOWN if text and marks(text) != marks(KNOWN[text])] == []
    assert set(KNOWN) - {""} - wanted == set()


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda edit: edit.add_resource("failover1", "fip", "fip1"), "グループリソース「fip1」はすでにあります。"),
        (lambda edit: edit.add_group("a b"), "「a b」は名前にできません。"),
        (lambda edit: edit.remove("/root/group@none"), "このパスには何もありません。"),
    ],
)
def test_refused_change_is_told_in_japanese(act, reason):
    with pytest.raises(EditError) as refused:
        act(Edit(Document.read(CONF), specs()))

    with translation.override("ja"):
        assert words.reason(refused.value.finding)[0] == reason
    with translation.override("en"):
        assert words.reason(refused.value.finding)[0] == refused.value.finding.text


def test_unreadable_file_is_told_in_japanese():
    with pytest.raises(DocumentError) as refused:
        Document.read(b"<root>\n<cluster>\n</root>")

    with translation.override("ja"):
        found = words.reason(refused.value.findings[0])
    assert found == ("<cluster> が閉じられていません (</root> まで)。", "内容の後に </cluster> を書いてください。")


def test_no_finding_of_a_loaded_file_is_left_in_english():
    broken = CONF.replace(b"<name>demo</name>", b"<name/>").replace(b"<target>fip1", b"<target>nothing")
    found = load(broken, specs()).findings
    assert found

    with translation.override("ja"):
        said = [words.reason(one)[0] for one in found]
    assert [text for text in said if not re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text)] == []


def test_a_plan_that_stops_groups_does_not_say_that_services_go_on():
    before, after = Document.read(CONF), Document.read(CONF)
    edit = Edit(after, specs())
    edit.set("/root/cluster/heartbeat/timeout", "60000")
    calm = plan(diff(before, after, specs()), before, after, specs())
    edit.set("/root/resource/fip@fip1/parameters/ip", "10.0.0.200")
    harsh = plan(diff(before, after, specs()), before, after, specs())

    with translation.override("en"):
        assert words.answer(calm) == "The cluster is suspended meanwhile; services go on, nothing is recovered."
        assert words.answer(harsh) == "The cluster is suspended meanwhile, and these groups stop: failover1."
