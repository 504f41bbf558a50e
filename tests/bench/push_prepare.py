"""Fills the database of bench push: `python -m tests.bench.push_prepare`; a user who is signed in, and agents.

Reads [[cluster, node] ...] as JSON from its input, prints {"cookie", "agents": [[cluster, node, secret] ...]}.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import time
from importlib import import_module

import django

USER, PASSWORD = "bench", "seven-quick-boats-31"


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.auth.models import Group

    from webmanager.databases import bring_up_to_date
    from webmanager.models import Agent, Cluster
    from webmanager.sessions import SINCE

    bring_up_to_date()
    user = get_user_model().objects.create_user(USER, password=PASSWORD)
    user.groups.add(Group.objects.get(name="administrator"))
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY], session[SINCE] = user.get_session_auth_hash(), time.time()
    session.create()
    wanted = json.loads(sys.stdin.read())
    clusters = {name: Cluster.objects.get_or_create(name=name)[0] for name, _ in wanted}
    made = [[cluster, node, secrets.token_urlsafe(32)] for cluster, node in wanted]
    Agent.objects.bulk_create(
        Agent(node=node, cluster=clusters[cluster], secret_sha256=hashlib.sha256(secret.encode()).hexdigest())
        for cluster, node, secret in made
    )
    cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
    print(json.dumps({"cookie": cookie, "agents": made}))


if __name__ == "__main__":
    main()
