"""What is wrong in a configuration, where, and what to do about it."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning", "note"]


class Said(msgspec.Struct, frozen=True):
    """The words of a finding before their values were filled in, for readers of another language:
    `gettext(said.text).format(**dict(said.values))`."""

    text: str
    remedy: str = ""
    values: tuple[tuple[str, str], ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """`path` as the original's tools write it: /root/resource/fip@fip1/parameters/ip."""

    code: str  # stable word: "xml.syntax", "value.range", "reference.missing"
    severity: Severity
    path: str
    text: str  # the reason, one sentence
    remedy: str = ""  # what would be right, one sentence
    line: int = 0  # 1-based, 0 unknown
    column: int = 0
    said: Said | None = None

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return f"{self.severity} {self.code} {place}: {self.text}" + (f" {self.remedy}" if self.remedy else "")
