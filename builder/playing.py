"""The what-if of a draft on request: a worker plays it (whatif.py), pages and REST begin it, follow it and stop it."""

from __future__ import annotations

from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from agent.clpconf.archive import Bundle
from builder import contents
from builder.models import Draft, WhatIf
from builder.tasks import play_whatif
from builder.whatif import end_lost

_KEPT = 5
_OPEN = (WhatIf.State.WAITING, WhatIf.State.RUNNING)


def newest(draft: Draft) -> WhatIf | None:
    end_lost()
    return draft.whatifs.defer("before", "after").first()


def begin(*, draft: Draft, runs: Bundle | None, by: str) -> str:
    """One at a time for each draft, since it loads a core for minutes. Why it was not begun; "" too when one plays."""
    end_lost()
    if draft.whatifs.filter(state__in=_OPEN).exists():
        return ""
    made = WhatIf.objects.create(
        draft=draft, revision=draft.revision, by=by, after=bytes(draft.conf),
        before=contents.pack(runs.conf) if runs is not None else b"",
    )  # fmt: skip
    for old in draft.whatifs.values_list("pk", flat=True)[_KEPT:]:
        WhatIf.objects.filter(pk=old).delete()
    try:
        play_whatif.delay(made.pk)
    except (OSError, OperationalError):
        made.delete()
        return _("The manager's message server does not answer, so nothing is played.")
    return ""


def stop(draft: Draft) -> None:
    """What was played until then counts."""
    running = draft.whatifs.filter(state__in=_OPEN)
    running.update(cancel=True)
    running.filter(state=WhatIf.State.WAITING).update(state=WhatIf.State.STOPPED)
