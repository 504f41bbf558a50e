"""The manager's directory of data: where it is, and the secret key that it keeps there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def data_directory() -> Path:
    return Path(os.environ.get("OPENCLP_DATA") or CHECKOUT / "var").absolute()


def make_data_directory() -> Path:
    """Creates it for this user alone: it holds sessions, hashes and the secret key."""
    directory = data_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def behind_tls_proxy() -> bool:
    """OPENCLP_HTTPS=1; the proxy must set X-Forwarded-Proto itself."""
    return os.environ.get("OPENCLP_HTTPS") == "1"


def trusted_proxies() -> str:
    """Addresses and networks, with commas, whose X-Forwarded-For is believed. Of others it is not, and what
    they hand on is nowhere taken for local (accounts/addresses.py)."""
    return os.environ.get("OPENCLP_PROXIES", "127.0.0.1,::1" if behind_tls_proxy() else "")


def tls_files() -> tuple[str, str]:
    """(certificate, key) with which the manager itself speaks TLS; empty without. A certificate alone is a proxy's:
    join tokens name its fingerprint."""
    key = os.environ.get("OPENCLP_TLS_KEY", "")
    return (os.environ.get("OPENCLP_TLS_CERTIFICATE", ""), key) if key else ("", "")


def secret_key(directory: Path) -> str:
    """The stored key; made at first use. Without the directory (tests, tools) a key for this process alone."""
    if given := os.environ.get("OPENCLP_SECRET_KEY"):
        return given
    file = directory / "secret.key"
    if not directory.is_dir():
        return secrets.token_urlsafe(50)
    # Two processes may start at once: whoever links its own file first wins, and both read that one.
    own = directory / f"secret.key.{os.getpid()}.{secrets.token_hex(4)}"
    if not file.exists():
        own.touch(mode=0o600)
        own.write_text(secrets.token_urlsafe(50), encoding="ascii")
        try:
            os.link(own, file)
        except FileExistsError:
            pass
        finally:
            own.unlink()
    return file.read_text(encoding="ascii").strip()
