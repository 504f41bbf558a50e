"""What requirements.txt locks is all that the product imports: whoever installs it has no package of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLAY = """
import importlib, pkgutil, re, sys
from importlib import metadata

def plain(name): return re.sub("[-_.]+", "-", name).lower()

locked = {plain(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", open("requirements.txt").read(), re.M)}
owners = {top: {plain(one) for one in found} for top, found in metadata.packages_distributions().items()}

class OnlyLocked:
    def find_spec(self, name, path=None, target=None):
        known = owners.get(name.partition(".")[0])
        if known and not known & (locked | {"openclp"}):
            raise ModuleNotFoundError(f"{name} belongs to {sorted(known)}, which requirements.txt does not lock")

sys.meta_path.insert(0, OnlyLocked())
import django
django.setup()
for top in ("agent", "webmanager", "builder"):
    for found in pkgutil.walk_packages(importlib.import_module(top).__path__, top + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)

from webmanager.celery import app
app.connection_for_write().get_transport_cls()
app.Worker, app.backend
import channels_redis.core
from uvicorn import Config
Config("webmanager.asgi:application", ws="auto", http="auto", loop="auto").load()
"""


@pytest.mark.slow
def test_the_product_imports_nothing_that_is_not_locked_for_it():
    done = subprocess.run(
        [sys.executable, "-c", PLAY], cwd=ROOT, capture_output=True, text=True, timeout=100,
        env={"DJANGO_SETTINGS_MODULE": "webmanager.settings", "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin",
             "REDIS_URL": "redis://127.0.0.1:1/0"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-1500:]
