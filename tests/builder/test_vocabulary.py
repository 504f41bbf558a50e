"""The configuration's vocabulary is complete in Japanese, and its catalogue is that of its source."""

from __future__ import annotations

import gettext
import re

from agent.clpconf.schema import IP, Param, TypeSpec, integer
from builder.locale.vocabulary import PO, compiled, of_type, wanted
from webmanager.locale.catalogue import mo, read, read_po

CATALOGUE = read_po(PO)


def test_every_text_has_a_japanese_one() -> None:
    assert [text for text in wanted() if not CATALOGUE.get(text)] == []


def test_texts_of_a_new_type_are_wanted() -> None:
    spec = TypeSpec("x", "Thing", params=(Param("a", "Size", integer(1, 9), unit="m", help="How big."),), help="Does.")

    assert set(of_type(spec)) >= {
        "Thing", "Does.", "Size", "m", "How big.", "Write a whole number from {minimum} to {maximum}.",
        '"{text}" is not a whole number.',
    }  # fmt: skip


def test_translations_keep_the_places_of_values() -> None:
    def marks(text: str) -> list[str]:
        return sorted(re.findall(r"\{\w+\}|%\(\w+\)s", text))

    assert [key for key, value in CATALOGUE.items() if key and marks(key) != marks(value)] == []


def test_console_and_vocabulary_agree() -> None:
    """Django merges them: a word that both have can have one translation only."""
    console = read("django")

    assert [key for key, value in CATALOGUE.items() if key and console.get(key, value) != value] == []


def test_compiled_catalogue_is_of_its_source() -> None:
    assert PO.with_suffix(".mo").read_bytes() == mo(compiled()), "run python -m builder.locale.vocabulary"


def test_finding_is_told_in_japanese() -> None:
    with PO.with_suffix(".mo").open("rb") as file:
        japanese = gettext.GNUTranslations(file)
    spec = TypeSpec("x", "", params=(Param("ip", "Address", IP), Param("n", "Number", integer(1, 9))))

    said = [finding.said for finding in spec.check("/x", {"ip": "here", "n": "10"})]

    told = [japanese.gettext(text).format(**dict(one.values)) for one in said if one for text in (one.text, one.remedy)]
    assert told == [
        "「here」はIP アドレスではありません。",
        "IPv4 または IPv6 のアドレスを入力してください。例: 192.0.2.10。",
        "「10」は範囲外です。",
        "1 から 9 までの整数を入力してください。",
    ]
