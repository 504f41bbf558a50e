"""What each test of the manager gets anew."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

_numbers = itertools.count(1)


@pytest.fixture
def cluster() -> str:
    """A name that no other test uses."""
    return f"cluster{next(_numbers)}"


@pytest.fixture
def register(environment: dict[str, str], cluster: str) -> Callable[..., str]:
    """register("server1") -> its secret for this test's cluster."""
    from webmanager import agents

    return lambda node, bound=cluster: agents.add(node=node, cluster=bound)


@pytest.fixture
def get(manager, cluster):
    """get("groups") -> (status, body) of GET /api/v1/groups of this test's cluster, as Charlie, who looks."""

    async def ask(path, user="charlie", **more):
        mark = "&" if "?" in path else "?"
        status, body, _ = await manager.acall("GET", f"/api/v1/{path}{mark}cluster={cluster}", user=user, **more)
        return status, body

    return ask


@pytest.fixture
def post(manager, cluster):
    """The same of POST, as Bob, who operates."""

    async def ask(path, body=None, user="bob", **more):
        status, body, _ = await manager.acall("POST", f"/api/v1/{path}?cluster={cluster}", user=user, body=body, **more)
        return status, body

    return ask
