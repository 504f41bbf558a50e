"""What the servers have, asked of their agents: for the wizard, and to check a draft against it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from agent.catalog import specs
from agent.clpconf.document import Document
from agent.clpconf.findings import Finding
from agent.wire.inventory import Inventory, LiveCheck
from agent.wire.live import checks_of, judge, subject_of
from agent.wire.peer import Request
from webmanager.hub import hub

_LIMIT_S = 15.0


async def ask(*, cluster: str, checks: Mapping[str, LiveCheck], by: str) -> tuple[dict[str, Inventory], str]:
    """(server -> what it has, why somebody did not answer)."""
    there = await hub().ready()
    request = Request(id=str(uuid.uuid4()), op="inventory", by=by, checks=dict(checks))
    answer = await there.command(cluster, request, _LIMIT_S, lambda text: None)
    return dict(answer.inventories), answer.text if answer.code else ""


async def live_findings(*, cluster: str, document: Document, by: str) -> tuple[list[Finding], str]:
    subject = subject_of(document, specs())
    found, why = await ask(cluster=cluster, checks=checks_of(subject), by=by)
    return judge(subject, found) if found else [], why
