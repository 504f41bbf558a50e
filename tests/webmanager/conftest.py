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
