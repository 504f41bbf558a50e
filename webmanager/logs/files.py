"""Where collected logs lie, and how much of them is kept: below the manager's directory, for this user alone.

ID.tar.gz is whole; ID.work/ is what a worker is fetching. Limits: settings.LOGS_KEPT archives a cluster, LOGS_DAYS,
LOGS_BYTES of all clusters together, and LOGS_FREE_BYTES of the disk are never used.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from pathlib import Path

from django.conf import settings


def directory() -> Path:
    made = Path(settings.DATA) / "logs"
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


def archive(key: uuid.UUID) -> Path:
    return directory() / f"{key}.tar.gz"


def workplace(key: uuid.UUID) -> Path:
    return directory() / f"{key}.work"


def remove(key: uuid.UUID) -> None:
    with contextlib.suppress(OSError):
        archive(key).unlink(missing_ok=True)
    shutil.rmtree(workplace(key), ignore_errors=True)


def is_full() -> bool:
    """The manager's database lies on the same disk more often than not."""
    return shutil.disk_usage(directory()).free < settings.LOGS_FREE_BYTES


def keys() -> set[uuid.UUID]:
    """Of everything that lies there."""
    found = set()
    for path in directory().iterdir():
        with contextlib.suppress(ValueError):
            found.add(uuid.UUID(path.name.partition(".")[0]))
    return found
