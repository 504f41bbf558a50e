"""What a view says of itself to the middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

View = Callable[..., Any]


def open_to_all(view: View) -> View:
    """No login is needed."""
    view.open_to_all = True  # type: ignore[attr-defined]
    return view


def open_with_first_password(view: View) -> View:
    """Also for a user who has not chosen an own password yet."""
    view.open_with_first_password = True  # type: ignore[attr-defined]
    return view
