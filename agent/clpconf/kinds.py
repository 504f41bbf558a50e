"""The kinds of value that parameters have: how text becomes a value, and what to write when it does not."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
# A script stands in the folder of its object, so that its name can never lead out of it.
_SCRIPT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_PLACEHOLDER = re.compile(r"%%.*%%|__.*__|INPUT_.*")


class OutOfRangeError(ValueError):
    """The text has the right form, but the value is too small or too large."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How text becomes a value. `parse` raises ValueError with a sentence that says what would be right."""

    name: str
    parse: Callable[[str], object]
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[tuple[str, str], ...] = ()  # (value in the file, label)
    secret: bool = False  # never shown in a finding, a log or a page
    template: str = ""  # `help` before its values were filled in, for readers of another language

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """What `template` takes."""
        if self.choices:
            return (("choices", ", ".join(value for value, _label in self.choices)),)
        if self.minimum is None or self.maximum is None:
            return ()
        return ("minimum", f"{self.minimum:.12g}"), ("maximum", f"{self.maximum:.12g}")


def is_placeholder(text: str) -> bool:
    """Left over from a template that nobody filled in: %%FIP%%, __USER__, INPUT_IP1."""
    return _PLACEHOLDER.fullmatch(text) is not None


def integer(minimum: int, maximum: int) -> Kind:
    help_text = _INTEGER_HELP.format(minimum=minimum, maximum=maximum)

    def parse(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise ValueError(help_text)
        value = int(text)
        if not minimum <= value <= maximum:
            raise OutOfRangeError(help_text)
        return value

    return Kind("whole number", parse, help_text, minimum, maximum, template=_INTEGER_HELP)


def seconds(minimum: float, maximum: float) -> Kind:
    """Whole seconds stay int, so that they are shown as they are written."""
    help_text = _SECONDS_HELP.format(minimum=f"{minimum:.12g}", maximum=f"{maximum:.12g}")

    def parse(text: str) -> int | float:
        if not _DECIMAL.fullmatch(text):
            raise ValueError(help_text)
        value = float(text) if "." in text else int(text)
        if not minimum <= value <= maximum:
            raise OutOfRangeError(help_text)
        return value

    return Kind("number of seconds", parse, help_text, minimum, maximum, template=_SECONDS_HELP)


def choice(*choices: tuple[str, str] | str) -> Kind:
    """One of some words; each with its label, or the word alone."""
    pairs = tuple((one, one) if isinstance(one, str) else one for one in choices)
    words = frozenset(word for word, _ in pairs)
    named = (word if word == label else f"{word} ({label})" for word, label in pairs)
    help_text = _CHOICE_HELP.format(choices=", ".join(named))

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(help_text)
        return text

    return Kind("known choice", parse, help_text, choices=pairs, template=_CHOICE_HELP)


def numbered(*choices: tuple[int, str], name: str = "known choice") -> Kind:
    """One of some numbers, each with its label."""
    numbers = {str(number): number for number, _ in choices}
    help_text = _CHOICE_HELP.format(choices=", ".join(f"{number} ({label})" for number, label in choices))

    def parse(text: str) -> int:
        if text not in numbers:
            raise ValueError(help_text)
        return numbers[text]

    pairs = tuple((str(number), label) for number, label in choices)
    return Kind(name, parse, help_text, choices=pairs, template=_CHOICE_HELP)


def word(longest: int = 255, pattern: str = r"\S+", name: str = "word", hint: str = "Write one word.") -> Kind:
    """Text without blanks that goes to a program as it is."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if len(text) > longest or not text.isprintable() or not compiled.fullmatch(text):
            raise ValueError(hint)
        return text

    return Kind(name, parse, hint)


def _parse_network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(_NETWORK_HELP) from None
    return text


def _parse_device(text: str) -> str:
    if not text.startswith("/dev/") or not text.isprintable() or ".." in text.split("/"):
        raise ValueError(_DEVICE_HELP)
    return text


def _parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(_IP_HELP) from None


def _parse_boolean(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(_BOOLEAN_HELP)
    return text == "1"


def _parse_path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise ValueError(_PATH_HELP)
    return text


def _parse_script(text: str) -> str:
    if text.startswith("/"):
        return _parse_path(text)
    if not _SCRIPT_NAME.fullmatch(text):
        raise ValueError(_SCRIPT_HELP)
    return text


_IP_HELP = "Write an IPv4 or IPv6 address, for example 192.0.2.10."
_INTEGER_HELP = "Write a whole number from {minimum} to {maximum}."
_SECONDS_HELP = "Write seconds from {minimum} to {maximum}."
_CHOICE_HELP = "Write one of {choices}."
_NETWORK_HELP = "Write an address or a network, for example 192.0.2.0/24."
_DEVICE_HELP = "Write the full path of a device, for example /dev/sdb1."
_BOOLEAN_HELP = "Write 0 for no or 1 for yes."
_PATH_HELP = "Write a full path that begins with /."
_SCRIPT_HELP = "Write the file name of a script in the folder of this object, or a full path that begins with /."

TEXT = Kind("text", str)
LINK = Kind("name", str)  # The identity of the element is the value, not its text.
SECRET = Kind("secret", str, secret=True)
IP = Kind("IP address", _parse_ip, _IP_HELP)
NETWORK = Kind("network", _parse_network, _NETWORK_HELP)
DEVICE = Kind("device path", _parse_device, _DEVICE_HELP)
HOST = word(255, r"[A-Za-z0-9_.:%-]+", "host", "Write a host name or an IP address.")
BOOLEAN = Kind("yes or no value", _parse_boolean, _BOOLEAN_HELP, choices=(("0", "No"), ("1", "Yes")))
PATH = Kind("full path", _parse_path, _PATH_HELP)
SCRIPT = Kind("script name", _parse_script, _SCRIPT_HELP)
SECONDS = seconds(0, 999999)
