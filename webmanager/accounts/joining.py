"""Join tokens: made for one server, exchanged once (agent/wire/join.py), and what a registered agent may lose again."""

from __future__ import annotations

import hashlib
import secrets
import ssl
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from agent.wire import join
from webmanager import agents
from webmanager.accounts import audit, revocation
from webmanager.accounts.actor import Actor
from webmanager.accounts.models import JoinToken
from webmanager.accounts.people import ProblemError
from webmanager.accounts.seal import SealError, seal, unseal
from webmanager.models import Agent, Cluster

HOURS, HOURS_MOST = 1, 168
_CERTIFICATE_BYTES = 1 << 20
_OPEN_TOKENS = 1000
_SEAL = "join"


class RefusedError(Exception):
    """To whoever asks with a token; says nothing about tokens that he does not have."""


def make(*, node: str, cluster: str, url: str, hours: float, actor: Actor, certificate: str = "") -> str:
    """The token's text, shown once. `certificate`: the file of what a server meets at `url`; default: the manager's."""
    node, cluster, url = node.strip(), cluster.strip(), url.strip()
    _check_names(node, cluster)
    fingerprint = _fingerprint(url, certificate or settings.TLS_CERTIFICATE)
    if not 0 < hours <= HOURS_MOST:
        raise ProblemError(_("A token lives for at most %(hours)d hours.") % {"hours": HOURS_MOST})
    secret, now = secrets.token_hex(join.SECRET_BYTES), timezone.now()
    with transaction.atomic():
        if JoinToken.objects.filter(used_at=None, ends_at__gt=now).count() >= _OPEN_TOKENS:
            raise ProblemError(_("There are too many open tokens. Take some back first."))
        owner = Cluster.objects.get_or_create(name=cluster)[0] if cluster else None
        row = JoinToken.objects.create(
            key=secrets.token_hex(8), secret=seal(_SEAL, secret.encode()), node=node, cluster=owner, by=actor.who,
            at=now, ends_at=now + timedelta(hours=hours),
        )  # fmt: skip
        _tell("agent.token", actor, node, cluster, {"token": row.key, "hours": f"{hours:g}", "url": url})
    return join.encode_token(
        join.Token(url=url, node=node, cluster=cluster, id=row.key, secret=secret, certificate=fingerprint)
    )


def _check_names(node: str, cluster: str) -> None:
    if not node or len(node) > 255 or ":" in node or not node.isprintable():
        raise ProblemError(_("A server's name has 1 to 255 letters and no colon."))
    if len(cluster) > 64 or not cluster.isprintable():
        raise ProblemError(_("A cluster's name has at most 64 letters."))


def _fingerprint(url: str, certificate: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > 500:
        raise ProblemError(_("The address must be http://HOST:PORT/ or https://HOST:PORT/, as the server reaches it."))
    if parts.scheme == "http":
        return ""
    if not certificate:
        raise ProblemError(
            _("For https the token names the certificate that servers meet: set OPENCLP_TLS_CERTIFICATE to its file.")
        )
    try:
        with Path(certificate).open(encoding="ascii") as file:
            text = file.read(_CERTIFICATE_BYTES)
        # The first one is the server's own, also in a file with a whole chain.
        text = text[text.index("-----BEGIN CERTIFICATE-----") :]
        end = "-----END CERTIFICATE-----"
        der = ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)])
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or _("it holds no certificate in PEM form")
        text = _("The certificate %(file)s cannot be read: %(reason)s.") % {"file": certificate, "reason": reason}
        raise ProblemError(text) from None
    return hashlib.sha256(der).hexdigest()


def exchange(*, asked: join.Ask, address: str) -> join.Answer:
    """Registers the agent. Raises RefusedError."""
    with transaction.atomic():
        row = JoinToken.objects.select_for_update().select_related(None).filter(key=asked.id).first()
        secret = _secret(row) if row is not None else ""
        if row is None or not secret or not join.is_right(asked, secret):
            raise RefusedError("This token is not known here, or was taken back. Make a new one.")
        cluster = row.cluster.name if row.cluster else ""
        if (asked.node, asked.cluster) != (row.node, cluster):
            raise RefusedError("This token was made for another server.")
        if row.used_at is not None:
            if row.asked != asked.nonce:
                raise RefusedError("This token was used already. Make a new one.")
            return join.answer(asked, secret, row.answered)
        if row.ends_at <= timezone.now():
            raise RefusedError("This token is too old. Make a new one.")
        row.asked, row.answered = asked.nonce, secrets.token_hex(join.NONCE_BYTES)
        row.used_at, row.used_from = timezone.now(), address[:64]
        row.save()
        agents.register(node=row.node, cluster=cluster, secret=join.agent_secret(secret, row.asked, row.answered))
        _tell("agent.join", Actor(who=row.node, address=address), row.node, cluster, {"token": row.key})
    revocation.tell("agents")  # An old secret of the same server ends at once.
    return join.answer(asked, secret, row.answered)


def _secret(row: JoinToken) -> str:
    try:
        return unseal(_SEAL, row.secret).decode() if row.secret else ""
    except SealError:
        return ""


def take_back(*, key: str, actor: Actor) -> bool:
    with transaction.atomic():
        row = JoinToken.objects.select_for_update().filter(key=key, used_at=None).first()
        if row is None:
            return False
        _tell("agent.token_back", actor, row.node, row.cluster.name if row.cluster else "", {"token": row.key})
        row.delete()
    return True


def revoke(*, agent: Agent, actor: Actor) -> None:
    """Its secret is worth nothing any more, and its socket closes."""
    cluster = agent.cluster.name if agent.cluster else ""
    with transaction.atomic():
        agent.delete()
        _tell("agent.revoke", actor, agent.node, cluster)
        transaction.on_commit(lambda: revocation.tell("agents"))


def listed() -> list[JoinToken]:
    return list(JoinToken.objects.select_related("cluster")[:100])


def prune() -> None:
    """What nobody can use any more: the secret after the end, the row a month later (the audit keeps the story)."""
    now = timezone.now()
    JoinToken.objects.filter(ends_at__lt=now).exclude(secret="").update(secret="")
    JoinToken.objects.filter(ends_at__lt=now - timedelta(days=30)).delete()


def _tell(action: str, actor: Actor, node: str, cluster: str, detail: dict[str, str] | None = None) -> None:
    audit.add(action, who=actor.who, address=actor.address, target=node, cluster=cluster, detail=detail)
