"""The manager's parts, started once for all tests that need them, on SQLite or on PostgreSQL.

OPENCLP_TEST_DATABASE_URL: unset = SQLite; "temporary" = a PostgreSQL cluster of its own, made and removed by the tests;
else the URL of an empty database. OPENCLP_TEST_STACK=many: PostgreSQL, and the manager has two web servers behind its
port and two Celery workers all the time, as `manage.py up --web 2 --workers 2` has them. Without it there is a worker
only while a test asks for one (`workers`).
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from tests.webmanager import stack
from webmanager import databases

MANY = os.environ.get("OPENCLP_TEST_STACK", "") == "many"


class PostgreSQL:
    """On a unix socket in a directory of its own; PostgreSQL refuses to run as root."""

    def __init__(self) -> None:
        self._binaries = (glob.glob("/usr/lib/postgresql/*/bin")[-1:] or pytest.skip("PostgreSQL is not installed"))[0]
        self._directory = Path(tempfile.mkdtemp(prefix="openclp-pg-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            os.chown(self._directory, pwd.getpwnam(self._user).pw_uid, -1)
        self._name = self._user or pwd.getpwuid(os.geteuid()).pw_name
        self._run("initdb", "-D", f"{self._directory}/data", "-A", "trust", "-U", self._name, "--no-sync")

    @property
    def url(self) -> str:
        return f"postgres://{self._name}@/openclp?host={self._directory}"

    def _run(self, *argv: str) -> None:
        subprocess.run(
            [f"{self._binaries}/{argv[0]}", *argv[1:]], check=True, user=self._user, cwd=self._directory, timeout=60,
            capture_output=True,
        )  # fmt: skip

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self._directory} -c fsync=off"
        self._run(
            "pg_ctl", "-D", f"{self._directory}/data", "-w", "-l", f"{self._directory}/log", "-o", options, "start"
        )

    def create(self) -> None:
        self._run("createdb", "-h", str(self._directory), "-U", self._name, "openclp")

    def stop(self) -> None:
        """As a crash of it would be: nobody is asked."""
        self._run("pg_ctl", "-D", f"{self._directory}/data", "-m", "immediate", "stop")

    def remove(self) -> None:
        shutil.rmtree(self._directory)


RUNNING: list[PostgreSQL] = []  # the tests' own, if they have one


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    found = PostgreSQL()
    try:
        found.start()
        try:
            found.create()
            yield found
        finally:
            found.stop()
    finally:
        found.remove()


@contextmanager
def _database(directory: Path) -> Iterator[str]:
    wanted = os.environ.get("OPENCLP_TEST_DATABASE_URL", "") or ("temporary" if MANY else "")
    if wanted == "temporary":
        with postgresql() as found:
            RUNNING.append(found)
            yield found.url
            RUNNING.clear()
    else:
        yield wanted or f"sqlite://{directory}/openclp.sqlite3"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[dict[str, str]]:
    """What every process of the test manager is started with; the tests' own ORM sees the same database."""
    directory = tmp_path_factory.mktemp("manager")
    directory.chmod(0o700)
    (directory / "demo").mkdir()
    with stack.valkey(directory) as redis_url, _database(directory) as url, django_db_blocker.unblock():
        # Playwright leaves a loop in the main thread, beside which Django would refuse the database.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        before = connections["default"].settings_dict
        connections["default"].close()
        wanted = connections.configure_settings({"default": databases.settings(url, directory)})["default"]
        wanted["TEST"] = before["TEST"]
        connections.settings["default"] = wanted
        del connections["default"]
        call_command("migrate", verbosity=0, interactive=False)
        try:
            yield {
                "OPENCLP_DATA": str(directory), "REDIS_URL": redis_url, "DATABASE_URL": url,
                "OPENCLP_SECRET_KEY": "the-tests-own-key-" + "x" * 40,
                "DJANGO_SETTINGS_MODULE": "tests.webmanager.quick", "OPENCLP_DEMO": str(directory / "demo"),
            }  # fmt: skip
        finally:
            connections.close_all()
            connections.settings["default"] = before
            del connections["default"]
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]  # Playwright's loop may still be there.


def hash_quickly() -> None:
    """As the manager of the tests does, in this process too."""
    from django.conf import settings
    from django.contrib.auth import hashers

    from tests.webmanager import quick

    settings.PASSWORD_HASHERS = quick.PASSWORD_HASHERS
    hashers.get_hashers.cache_clear()
    hashers.get_hashers_by_algorithm.cache_clear()


@pytest.fixture(scope="session")
def people(environment: dict[str, str]) -> dict[str, str]:
    """Alice administers, Bob operates, Charlie looks; name -> session cookie."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.auth.models import Group

    settings.SECRET_KEY = environment["OPENCLP_SECRET_KEY"]
    hash_quickly()
    cookies = {}
    for name, role in (("alice", "administrator"), ("bob", "operator"), ("charlie", "viewer")):
        user = get_user_model().objects.create_user(name, password=stack.PASSWORD)
        user.groups.add(Group.objects.get(name=role))
        session = import_module(settings.SESSION_ENGINE).SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        cookies[name] = session.session_key
    return cookies


@pytest.fixture(scope="session")
def fleet(environment: dict[str, str]) -> Iterator[stack.Workers]:
    """The workers that are there all the time."""
    found = stack.Workers(environment, Path(environment["OPENCLP_DATA"]))
    yield found.start(2 if MANY else 0)
    found.stop()


@pytest.fixture(scope="module")
def workers(fleet: stack.Workers) -> Iterator[stack.Workers]:
    """At least one; those that a module killed are there again for the next one."""
    yield fleet.start(2 if MANY else 1)
    if MANY:
        fleet.start(2)
    else:
        fleet.stop()


@pytest.fixture(scope="session")
def manager(environment: dict[str, str], people: dict[str, str], fleet: stack.Workers) -> Iterator[stack.Server]:
    server = stack.Server(environment, Path(environment["OPENCLP_DATA"]) / "web.log", count=2 if MANY else 1)
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def second(manager: stack.Server) -> Iterator[stack.Server]:
    """Another process of the same manager."""
    server = stack.Server(manager.environment, manager.log.with_name("web2.log")).start()
    yield server
    server.stop()
