"""A user of its own for each test, and visitors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.webmanager.accounts.visitor import Visitor
from tests.webmanager.stack import PASSWORD, Server

_numbers = itertools.count(1)


@pytest.fixture
def user(environment: dict[str, str], people: dict[str, str]) -> Callable[..., Any]:
    """user("operator") -> a new one with this role on all clusters; "" for none."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    def make(role: str = "viewer", *, password: str = PASSWORD) -> Any:
        one = get_user_model().objects.create_user(f"person{next(_numbers)}", password=password)
        if role:
            one.groups.add(Group.objects.get(name=role))
        return one

    return make


@pytest.fixture
def visitor(manager: Server) -> Callable[..., Visitor]:
    def make(session: str = "", **headers: str) -> Visitor:
        return Visitor(manager, session, headers)

    return make


@pytest.fixture(autouse=True)
def counters(request: pytest.FixtureRequest) -> None:
    """Failures of one test do not slow down the next one."""
    if "manager" not in request.fixturenames:
        return
    from redis import Redis

    url = request.getfixturevalue("environment")["REDIS_URL"]
    with Redis.from_url(url) as server:
        for key in server.scan_iter("openclp:1:login:*"):
            server.delete(key)
