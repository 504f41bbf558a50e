"""The manager's settings for tests: passwords are quickly hashed, since the slowness is Django's and tested there."""

from __future__ import annotations

from webmanager.settings import *  # noqa: F403

# Whoever waits for a killed process waits less long.
OPERATION_LOST_S, OPERATION_FOUND_S = 2.0, 6.0
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
