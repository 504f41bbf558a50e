"""All operator messages by module and number, rendered in English or Japanese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from agent.messages import (
    alerts,
    cluster,
    configuration,
    daemon,
    drills,
    fencing,
    groups,
    heartbeats,
    mirrors,
    monitors,
    policies,
)
from agent.messages.template import Severity, Template

MESSAGES: Mapping[tuple[str, int], Template] = {
    **alerts.MESSAGES,
    **cluster.MESSAGES,
    **configuration.MESSAGES,
    **daemon.MESSAGES,
    **drills.MESSAGES,
    **fencing.MESSAGES,
    **groups.MESSAGES,
    **heartbeats.MESSAGES,
    **mirrors.MESSAGES,
    **monitors.MESSAGES,
    **policies.MESSAGES,
}

_REMEMBERED = 512  # sentences: the same ones come again, above all in the simulator


def render(module: str, event: int, params: Sequence[str], language: str = "en") -> str:
    """One sentence. A message that only a newer server knows is shown by its number and parameters."""
    return _render(module, event, tuple(params), language)


@lru_cache(maxsize=_REMEMBERED)
def _render(module: str, event: int, params: tuple[str, ...], language: str) -> str:
    template = MESSAGES.get((module, event))
    if template is None and module == "logcmd":
        return params[0] if params else ""  # A script's own words; it has no other language.
    if template is None:
        return f"{module} {event}: {', '.join(params)}"
    return template.fill(params, language)


def severity(module: str, event: int) -> Severity:
    """KeyError for a message that does not exist: only the writer of a message asks."""
    return MESSAGES[module, event].severity
