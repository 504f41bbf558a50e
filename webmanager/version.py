"""The product's version, as installed or as in the checkout."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("openclp")
    except PackageNotFoundError:
        return "0.1.0"


VERSION = _version()
