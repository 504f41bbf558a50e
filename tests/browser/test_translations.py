"""English and Japanese are both complete, and the compiled catalogues are those of the sources."""

from __future__ import annotations

import gettext
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

LOCALE = Path(__file__).parents[2] / "webmanager" / "locale"
DOMAINS = ("django", "djangojs")


def _tool() -> Any:
    spec = importlib.util.spec_from_file_location("catalogue", LOCALE / "catalogue.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = _tool()


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_text_has_a_japanese_one(domain: str) -> None:
    catalogue = tool.read(domain)

    assert [text for text in tool.wanted(domain) if text not in catalogue] == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_translations_keep_the_placeholders(domain: str) -> None:
    catalogue = tool.read(domain)

    def marks(text: str) -> list[str]:
        return sorted(set(re.findall(r"%\(\w+\)[sd]", text)))

    assert [key for key, value in catalogue.items() if key and marks(key) != marks(value)] == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_compiled_catalogue_is_of_its_source(domain: str) -> None:
    path = LOCALE / "ja" / "LC_MESSAGES" / f"{domain}.mo"

    assert path.read_bytes() == tool.mo(tool.read(domain)), "run webmanager/locale/catalogue.py"


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_part_says_the_same_text_otherwise(domain: str) -> None:
    said: dict[str, set[str]] = {}
    for path in tool.parts(domain):
        for key, value in tool.read_po(path).items():
            if key:
                said.setdefault(key, set()).add(value)

    assert {key: values for key, values in said.items() if len(values) > 1} == {}


def test_compiled_catalogue_is_read_by_gettext() -> None:
    with (LOCALE / "ja" / "LC_MESSAGES" / "djangojs.mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)

    assert catalogue.gettext("Online") == "起動済"
    assert catalogue.ngettext("%(count)s problem", "%(count)s problems", 2) == "問題 %(count)s 件"


def test_broken_po_file_is_refused_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "x.po"
    broken.write_text('msgid "a"\nmsgstr "b\n')

    with pytest.raises(ValueError, match="line 2"):
        tool.read_po(broken)
