"""Agents' credentials: made once, shown once, kept as a hash, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from django.utils import timezone

from webmanager.models import Agent, Cluster

_LIMIT = 512  # longest Authorization header that is looked at


def add(*, node: str, cluster: str) -> str:
    """Registers (or re-registers) a node; returns its new secret. An old secret of the same node ends at once."""
    secret = secrets.token_urlsafe(32)
    register(node=node, cluster=cluster, secret=secret)
    return secret


def register(*, node: str, cluster: str, secret: str) -> None:
    owner = Cluster.objects.get_or_create(name=cluster)[0] if cluster else None
    Agent.objects.update_or_create(node=node, cluster=owner, defaults={"secret_sha256": _digest(secret)})


def authenticate(header: str) -> Agent | None:
    """`header`: "Bearer NODE:SECRET". The node may exist in several clusters; the secret tells which is meant."""
    scheme, _, credentials = header.partition(" ")
    node, colon, secret = credentials.strip().rpartition(":")
    if scheme.lower() != "bearer" or not colon or not node or len(header) > _LIMIT:
        return None
    digest, found = _digest(secret), None
    for agent in Agent.objects.select_related("cluster").filter(node=node):
        if hmac.compare_digest(agent.secret_sha256, digest):
            found = agent
    return found


def bind(*, agent_id: int, cluster: str, config: bytes, config_hash: str) -> str:
    """Notes what the hello said. Returns "" or the reason why this agent must not speak for that cluster."""
    agent = Agent.objects.select_related("cluster").filter(id=agent_id).first()
    if agent is None:
        return "This agent is not registered any more; register it again with: manage.py agent add NODE"
    if agent.cluster is not None and agent.cluster.name != cluster:
        return (
            f"{agent.node} is registered for cluster {agent.cluster.name}, but its clp.conf names {cluster}; "
            f"register it with: manage.py agent add {agent.node} --cluster {cluster}"
        )
    owner, _ = Cluster.objects.get_or_create(name=cluster)
    if owner.config_hash != config_hash:
        Cluster.objects.filter(id=owner.id).update(config=config, config_hash=config_hash, seen_at=timezone.now())
    # An unbound row of a node that is bound already would break the constraint: the new secret takes its place.
    Agent.objects.filter(node=agent.node, cluster=owner).exclude(id=agent.id).delete()
    Agent.objects.filter(id=agent.id).update(cluster=owner, seen_at=timezone.now())
    return ""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
