"""What was taken away ends at once: sockets of agents and browsers are told to look anew, in every process.

The word travels through the message server and may be lost; so each hub also asks the database for its agents each half
minute, in one query, and browsers' sockets ask for themselves (consumers.py).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from webmanager.ledger import in_db
from webmanager.models import Agent

if TYPE_CHECKING:
    from webmanager.hub import Hub

log = logging.getLogger(__name__)

CHECK_S = 30
GROUP = "hubs"
REVOKED = 4401
_REASON = "this agent's right to report was taken away; join again with a new token: clpjoin"


def tell(kind: str, key: int = 0) -> None:
    """kind "agents": look who may still report; "user": the sockets of that user."""
    message = {"type": "hub", "kind": "recheck", "from": "", "channel": "", "what": kind, "key": key}
    try:
        async_to_sync(_send)(message)
    except Exception as error:  # The message server's own errors share no base class; the regular look follows.
        log.warning("the other processes could not be told that a right ended: %s", error)


async def _send(message: dict[str, Any]) -> None:
    await get_channel_layer().group_send(GROUP, message)


async def watch(there: Hub) -> None:
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            await check_agents(there)
        except Exception:
            log.exception("agents' rights cannot be looked at now")


async def heard(there: Hub, message: dict[str, Any]) -> None:
    if message["what"] == "agents":
        await check_agents(there)
        return
    for browser in there.browsers():
        if getattr(browser, "user_id", None) == message["key"]:
            there.spawn(browser.recheck())


async def check_agents(there: Hub) -> None:
    links = [link for link in there.commands.local_links() if link.right is not None]
    valid = await in_db(_valid, [link.right[0] for link in links])
    for link in links:
        if valid.get(link.right[0]) != link.right[1]:
            await link.close(REVOKED, _REASON)


def _valid(keys: list[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        found |= dict(Agent.objects.filter(id__in=part).values_list("id", "secret_sha256"))
    return found
