"""What servers, workers and the simulator say whole is said in the reader's language; what is not known is marked."""

from __future__ import annotations

import re

import pytest
from django.utils import translation

from agent.clpconf import model
from agent.messages.catalog import MESSAGES
from agent.sim import cuts, prove
from agent.sim.standard import standard
from agent.sim.sweep import pairs, singles
from agent.wire.split_brain import split_brain
from webmanager import spoken
from webmanager.locale.catalogue import read_po

KNOWN = {text: japanese for text, japanese in read_po(spoken.PO).items() if text}


def test_every_sentence_of_the_sources_has_a_japanese_one_with_its_values():
    marks = re.compile(r"\{\d\}")
    assert set(spoken.wanted()) - set(KNOWN) == set()
    assert set(KNOWN) - set(spoken.wanted()) == set()
    # A plural is no word of Japanese: what names a kind twice may be said once.
    wrong = [text for text in KNOWN if not set(marks.findall(KNOWN[text])) <= set(marks.findall(text))]
    assert wrong == []
    fewer = [text for text in KNOWN if len(set(marks.findall(KNOWN[text]))) < len(set(marks.findall(text)))]
    assert fewer == ['There is no {0} "{1}"; the {2}s are {3}.']


@pytest.mark.parametrize(
    ("text", "japanese"),
    [
        ("No server gave its logs.", "どのサーバからもログを採取できませんでした。"),
        ("server2 is not online: a drill needs all servers. The cluster is being stopped.",
         "server2 がオンラインではありません。訓練にはすべてのサーバが必要です。クラスタは停止処理中です。"),
        ("server1 may act: 2 of 3 votes agreed (server1, server2 of server1, server2, server3). server3 does not act.",
         "server1 が動作できます。3 票中 2 票が同意しました (server1, server2, server3 のうち server1, server2)。"
         "server3 は動作しません。"),
        ("server3 is not heard: if it still runs, its lease has run out and it has stopped its groups, "
         "unless it hangs.",
         "server3 から受信できません。まだ動作していても、リースが切れてグループを停止しています "
         "(ハングしている場合を除く)。"),
        ("Lost: no heartbeat. In quarantine until 2026-11-23 20:00:00 UTC: lost 3 times within 600 s. It takes no "
         "groups by itself; you can move them here.",
         "ハートビートが途絶えました。2026-11-23 20:00:00 UTC まで隔離中です (600 秒以内に 3 回ロスト)。"
         "自動ではグループを引き受けません。手動での移動はできます。"),
        ("server1: exec1: /etc/x/start.sh ended with code 1 after 0.3 s; it said: no database here",
         "server1: exec1: /etc/x/start.sh は 0.3 秒後に終了コード 1 で終了しました。出力: no database here"),
        ("[2001:db8::9]:29080: no answer in time", "[2001:db8::9]:29080: 時間内に応答がありません"),
        (" ".join(f"Number {number} is not known." for number in range(300)), None),
        ("server2: No drill runs.", "server2: 訓練は行われていません。"),
        ("すでに日本語です。", "すでに日本語です。"),
        ("server2 did something new.", None),
        ("It cannot be written: it is not known. Neither is this.", None),
        ("", ""),
    ],
)  # fmt: skip
def test_sentence_is_said_in_japanese_or_known_to_be_english(text, japanese):
    with translation.override("ja"):
        assert spoken.said(text) == ((text, False) if japanese is None else (japanese, True))
    with translation.override("en"):
        assert spoken.said(text) == (text, True)


def test_what_the_simulator_says_of_failures_gaps_and_cuts_is_known():
    cluster = standard(3, safe=False)
    with translation.override("ja"):
        assert all(spoken.said(text)[1] for _holds, text in prove._RULES)
        texts = [failure.text for failure in (*singles(cluster), *pairs(cluster))]
        faults = [fault for cut in cuts.cuts(cluster, 2) for fault in cut.faults]
        assert [text for text in (*texts, *faults) if not spoken.said(text)[1]] == []
    assert min(len(texts), len(faults)) > 9


def test_what_stays_english_is_marked_and_nothing_is_markup():
    with translation.override("ja"):
        assert spoken.shown("A <b> of its own.") == '<span lang="en">A &lt;b&gt; of its own.</span>'
        assert spoken.shown("No drill runs on <b>.") == "&lt;b&gt; で訓練は行われていません。"
    assert spoken.shown("A <b> of its own.") == "A &lt;b&gt; of its own."


def test_each_event_is_known_by_its_english_sentence():
    """Values of one word each; where two events say the same in English, either will do."""
    params = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"]
    wrong = []
    with translation.override("ja"):
        for key, one in MESSAGES.items():
            text = one.fill(params, "en")
            same = {other.fill(params, "ja") for other in MESSAGES.values() if other.fill(params, "en") == text}
            if spoken.said(text)[0] not in same:
                wrong.append((key, text, spoken.said(text)[0]))
    assert [one for one in wrong if len(spoken._bare(MESSAGES[one[0]].en)) >= spoken._TELLING] == []


@pytest.mark.parametrize("majority", [True, False])
def test_risk_of_every_page_is_said_in_japanese(majority):
    servers = tuple(model.Server(name=f"server{n}", priority=n) for n in (1, 2))
    paths = tuple(model.Heartbeat(name=f"lanhb{n}", type="lanhb", priority=n, device=n) for n in (0, 1))
    resolvers = (model.PartitionResolver(name="m", type="majonp", priority=0, device=0),) if majority else ()
    cluster = model.Cluster(name="c", servers=servers, heartbeats=paths, resolvers=resolvers)
    with translation.override("ja"):
        words, known = spoken.said(split_brain(cluster)["why"])
    assert known
    assert not re.search("[a-z]{2} [a-z]{2}", words)
