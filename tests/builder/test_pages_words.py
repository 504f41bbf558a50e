"""Every text of the Builder's pages has a Japanese one that keeps its placeholders."""

from __future__ import annotations

import re

from builder.locale import pages, vocabulary
from webmanager.locale.catalogue import mo, read, read_po


def test_every_text_of_the_pages_has_a_japanese_one() -> None:
    known = read_po(pages.PO)

    assert [text for text in pages.wanted() if text not in known] == []


def test_console_says_no_text_of_the_pages_otherwise() -> None:
    """Django merges both catalogues: the same English is the same Japanese, else the English has to differ."""
    console = read("django")

    assert [text for text, said in read_po(pages.PO).items() if text and console.get(text, said) != said] == []


def test_placeholders_are_kept() -> None:
    def marks(text: str) -> set[str]:
        return set(re.findall(r"%\(\w+\)[sd]|\{\w+\}", text))

    assert [key for key, value in read_po(pages.PO).items() if key and marks(key) != marks(value)] == []


def test_compiled_catalogue_is_of_its_sources() -> None:
    compiled = vocabulary.PO.with_suffix(".mo").read_bytes()

    assert compiled == mo(vocabulary.compiled()), "run python -m builder.locale.vocabulary"
