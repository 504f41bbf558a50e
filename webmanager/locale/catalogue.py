"""Keeps the translations: finds what needs one, reads .po, writes .mo (msgfmt is not on every machine).

`python webmanager/locale/catalogue.py` compiles every catalogue and names what lacks a translation.
"""

from __future__ import annotations

import ast
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCALE = Path(__file__).parent
_JS = re.compile(r'(?<![\w.])(?:_\(\s*"((?:[^"\\]|\\.)*)"\s*\)|plural\(\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)")')
_PO = re.compile(r'^(msgctxt|msgid|msgid_plural|msgstr(?:\[\d\])?)?\s*"((?:[^"\\]|\\.)*)"$')
_FUNCTIONS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
Catalogue = dict[str, str]  # msgid, or "one\0many" -> msgstr, plural forms parted by \0


def wanted(domain: str) -> list[str]:
    """Every text of a domain that a reader can meet: djangojs is what static/js says, django is the rest."""
    if domain == "djangojs":
        files = sorted((ROOT / "static" / "js").glob("*.js"))
        return list(dict.fromkeys(text for file in files for text in _of_script(file.read_text("utf-8"))))
    templates = sorted((ROOT / "templates").rglob("*.html"))
    # The Builder keeps its own (builder/locale/pages.py).
    return texts_of(
        [file for file in templates if file.parent.name != "builder"], sorted((ROOT / "webmanager").rglob("*.py"))
    )


def texts_of(templates: list[Path], modules: list[Path]) -> list[str]:
    texts = [text for file in templates for text in _of_template(file.read_text("utf-8"))]
    texts += [text for file in modules for text in _of_module(file.read_text("utf-8"))]
    return list(dict.fromkeys(texts))


def _of_script(source: str) -> Iterator[str]:
    for one, singular, many in _JS.findall(source):
        yield _unquote(one) if one else f"{_unquote(singular)}\0{_unquote(many)}"


def _of_template(source: str) -> Iterator[str]:
    from django.utils.translation.template import templatize

    code = re.sub(r"\s+", " ", templatize(source, origin="template"))
    for call in re.finditer(r"\b(gettext|ngettext)\(u?", code):
        arguments = _strings(code[call.end() :])
        yield "\0".join(arguments[:2]) if call[1] == "ngettext" else arguments[0]


def _strings(code: str) -> list[str]:
    """The string literals with which a call's arguments begin."""
    found = re.match(r"""\s*((?:u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*,?\s*)+)""", code)
    parts = re.findall(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", found[1]) if found else []
    return [ast.literal_eval(part) for part in parts]


def _of_module(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in _FUNCTIONS:
            continue
        texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if texts:
            yield "\0".join(texts[:2]) if node.func.id.startswith("ngettext") else texts[0]  # type: ignore[attr-defined]


def read_po(path: Path) -> Catalogue:
    """ValueError names the line that is not understood."""
    catalogue: Catalogue = {}
    entry: dict[str, str] = {}
    field = ""
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), ""], 1):
        if not line.strip() or line.startswith("#"):
            _add(catalogue, entry)
            entry, field = {}, ""
            continue
        found = _PO.match(line.strip())
        if not found or not (found[1] or field):
            raise ValueError(f"{path}, line {number}: not a line of a .po file: {line!r}")
        field = found[1] or field
        entry[field] = entry.get(field, "") + _unquote(found[2])
    return catalogue


def read(domain: str, language: str = "ja") -> Catalogue:
    """Of a domain: DOMAIN.po, and DOMAIN-THEME.po for each part of the console that keeps its own words."""
    found: Catalogue = {}
    for path in parts(domain, language):
        found |= read_po(path)
    return found


def parts(domain: str, language: str = "ja") -> list[Path]:
    folder = LOCALE / language / "LC_MESSAGES"
    return [folder / f"{domain}.po", *sorted(folder.glob(f"{domain}-*.po"))]


def _add(catalogue: Catalogue, entry: dict[str, str]) -> None:
    if "msgid" not in entry:
        return
    key = entry["msgid"] + (f"\0{entry['msgid_plural']}" if "msgid_plural" in entry else "")
    forms = [entry[name] for name in sorted(entry) if name.startswith("msgstr")]
    if all(forms):
        catalogue[key] = "\0".join(forms)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text)


def mo(catalogue: Catalogue) -> bytes:
    """The binary form, as the GNU gettext manual describes it."""
    pairs = sorted((key.encode(), value.encode()) for key, value in catalogue.items())
    start = 28 + 16 * len(pairs)
    keys = b"".join(key + b"\0" for key, _ in pairs)
    table, place = b"", start
    for side in (0, 1):
        for pair in pairs:
            table += struct.pack("<II", len(pair[side]), place)
            place += len(pair[side]) + 1
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return head + table + keys + b"".join(value + b"\0" for _, value in pairs)


def main() -> int:
    missing = 0
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/django*.mo")):
        catalogue = read(path.stem, path.parts[-3])
        path.write_bytes(mo(catalogue))
        for text in wanted(path.stem):
            if text not in catalogue:
                missing += 1
                sys.stderr.write(f"{path.relative_to(ROOT)}: no translation of {text!r}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
