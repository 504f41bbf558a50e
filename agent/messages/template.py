"""The form of an operator message: severity and its sentence in each language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Severity = Literal["info", "warning", "error"]

_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
# The last parameter may be a whole sentence with its own full stop, perhaps before a closing bracket.
_TWO_ENDS = re.compile(r"(?<!\.)[.。](\)?)([.。])\Z")
_PARAMETER = re.compile(r"%([1-9])")


class Template(NamedTuple):
    """%1 %2 %3 are parameters; [in brackets] stands what falls away when its parameter is missing or empty."""

    severity: Severity
    en: str
    ja: str

    def fill(self, params: Sequence[str], language: str) -> str:
        """Parameters are put in once: a %1 or a bracket within one of them stays as it is."""
        kept = _OPTIONAL.sub(lambda part: part[1] if _all_given(part[1], params) else "", _text(self, language))
        text = _PARAMETER.sub(lambda mark: _given(mark[1], params) or "?", kept)
        return _TWO_ENDS.sub(r"\1\2", text)


def info(en: str, ja: str) -> Template:
    return Template("info", en, ja)


def warning(en: str, ja: str) -> Template:
    return Template("warning", en, ja)


def error(en: str, ja: str) -> Template:
    return Template("error", en, ja)


def _text(template: Template, language: str) -> str:
    return template.ja if language.lower().startswith("ja") else template.en


def _given(number: str, params: Sequence[str]) -> str:
    index = int(number) - 1
    return params[index] if index < len(params) else ""


def _all_given(part: str, params: Sequence[str]) -> bool:
    return all(_given(number, params) for number in _PARAMETER.findall(part))
