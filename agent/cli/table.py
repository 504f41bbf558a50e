"""The look of the tables: columns and frames of the original's commands, to the character."""

from __future__ import annotations

from dataclasses import dataclass

# The original does not centre its titles alike; these are the numbers of "=" before and after each.
_TITLES = {
    "CLUSTER STATUS": (24, 27),
    "GROUPMAP INFORMATION": (22, 23),
    "CLUSTER INFORMATION": (23, 23),
    "HEARTBEAT RESOURCE STATUS": (20, 20),
    "MONITOR RESOURCE STATUS": (21, 21),
    "HEARTBEAT SILENCES": (23, 24),  # ours
    "FENCING STATUS": (25, 26),  # ours: no sample of clpstat -f is public
}
_WIDTH = 69
_STATUS_WIDTH = 17


def frame(title: str, lines: list[str]) -> str:
    """`lines` between a title line and a closing line."""
    before, after = _TITLES[title]
    top = f" {'=' * before}  {title}  {'=' * after}"
    return "\n".join([top, *lines, f" {'=' * _WIDTH}"])


def rule(indent: int = 2) -> str:
    return f"{' ' * indent}{'-' * (_WIDTH + 1 - indent)}"


@dataclass(frozen=True, slots=True)
class Columns:
    """Widths of the name columns; a name that leaves no room for a blank is cut."""

    name: int
    sub: int

    def object(self, name: str, status: str, comment: str = "", *, here: bool = False) -> str:
        """A server or group line; `here` marks the server whose view it is."""
        cut = name[: self.name - 1] + " "
        mark = "*" if here else " "
        return f"   {mark}{cut:.<{self.name}}: {status:<{_STATUS_WIDTH}}{comment}"

    def current(self, where: str) -> str:
        return f"      {'current':<{self.sub}}: {where}"

    def sub_object(self, name: str, status: str, comment: str = "") -> str:
        return f"      {name[: self.sub - 1]:<{self.sub}}: {status:<{_STATUS_WIDTH}}{comment}"

    def monitor(self, name: str, status: str, comment: str = "") -> str:
        # Where a comment could stand, the original leaves one blank more.
        return f"    {name[: self.name - 1]:<{self.name}}: {status:<{_STATUS_WIDTH}}{comment or ' '}"


SHORT = Columns(17, 15)
LONG = Columns(34, 32)


def parameter(label: str, value: str, indent: int) -> str:
    """One line of `clpstat -i`. What is indented further has its colon further right, as in the original."""
    return f"{' ' * indent}{label:<{51 + indent}}: {value}"
