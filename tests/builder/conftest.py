"""A manager for the Builder's tests, and drafts in its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CONF = (Path(__file__).parent / "cluster.conf").read_bytes()


@pytest.fixture(scope="session")
def users(people: dict[str, str]) -> dict[str, Any]:
    """Alice administers, Bob operates, Charlie looks."""
    from django.contrib.auth import get_user_model

    return {user.username: user for user in get_user_model().objects.filter(username__in=people)}


@pytest.fixture
def draft(users: dict[str, Any]) -> Iterator[Any]:
    from agent.clpconf.archive import Bundle, Script
    from builder import services

    scripts = {"failover1/exec1/start.sh": Script(b"#!/bin/sh\nexit 0\n", 0o755)}
    made = services.create_draft(bundle=Bundle(CONF, scripts), name="test", user=users["alice"])
    yield made
    made.delete()


@pytest.fixture
def client(environment: dict[str, str], people: dict[str, str]) -> Callable[..., Any]:
    """client("bob") is signed in as Bob; without JavaScript, as Django's own test client is."""
    from django.conf import settings
    from django.test import Client

    def signed_in(name: str = "alice") -> Client:
        made = Client(HTTP_HOST="127.0.0.1")
        if name:
            made.cookies[settings.SESSION_COOKIE_NAME] = people[name]
        return made

    return signed_in
