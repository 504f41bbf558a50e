"""The manager's settings for tests: passwords are quickly hashed, since the slowness is Django's and tested there."""

from __future__ import annotations

from webmanager.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
