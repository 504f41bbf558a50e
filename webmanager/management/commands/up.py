"""manage.py up: the whole manager in one command; all of it is gone when it goes."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError

from webmanager.accounts import people
from webmanager.accounts.actor import at_the_shell
from webmanager.data import make_data_directory, tls_files
from webmanager.databases import bring_up_to_date
from webmanager.supervisor import SetupError, Supervisor

_PARTS_MOST = 16


class Command(BaseCommand):
    help = "Starts message server, web server and worker, and watches them until Ctrl-C."
    requires_system_checks = ()
    password = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; several with commas")
        parser.add_argument("--ports", default="29003,29009", help="ports; the first is named as the console's")
        for name, words in (("web", "web servers behind the same ports"), ("workers", "workers for tasks")):
            variable = f"OPENCLP_{name.upper()}"
            parser.add_argument(
                f"--{name}", type=int, default=os.environ.get(variable) or 1, metavar="N",
                help=f"{words} (default: {variable}, else 1)",
            )  # fmt: skip

    def handle(self, *args: Any, host: str, ports: str, web: int, workers: int, **options: Any) -> None:
        if not (1 <= web <= _PARTS_MOST and 1 <= workers <= _PARTS_MOST):
            raise CommandError(f"--web {web} --workers {workers}: give numbers from 1 to {_PARTS_MOST}")
        supervisor = Supervisor(
            data=make_data_directory(),
            hosts=[h.strip() for h in host.split(",")],
            ports=_ports(ports),
            redis_url=os.environ.get("REDIS_URL", ""),
            webs=web,
            workers=workers,
        )

        def stop(*_: Any) -> None:
            supervisor.stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, stop)
        try:
            supervisor.claim()
            supervisor.start(self._prepare)
            self._announce(supervisor)
            supervisor.run()
        except SetupError as problem:
            if not supervisor.stopping:
                raise CommandError(str(problem)) from None
        finally:
            supervisor.stop()

    def _prepare(self) -> None:
        try:
            bring_up_to_date()
        except DatabaseError as error:
            raise SetupError(f"The database cannot be used: {str(error).strip()} (DATABASE_URL)") from None
        users = get_user_model().objects
        if users.exists():
            return
        # In a demo nobody waits for a better password than the one that was just shown.
        first = not settings.OPENCLP_DEMO
        actor = at_the_shell()
        _, self.password = people.add(name="admin", role="administrator", actor=actor, own_choice=first)

    def _announce(self, supervisor: Supervisor) -> None:
        host = f"[{supervisor.hosts[0]}]" if ":" in supervisor.hosts[0] else supervisor.hosts[0]
        shown = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
        scheme = "https" if tls_files()[1] else "http"
        lines = [
            "openclp manager is up.",
            f"  Console   {scheme}://{shown}:{supervisor.ports[0]}/",
            f"  REST      {scheme}://{shown}:{supervisor.ports[-1]}/api/v1/",
        ]
        if self.password:
            lines += [f"  Login     user admin, password {self.password}"]
            lines += ["            (shown only now; the console asks for another one at first)"]
        lines += [f"  Logs      {supervisor.data / 'log'}", "Ctrl-C stops it."]
        print("\n".join(lines), flush=True)


def _ports(text: str) -> list[int]:
    try:
        found = [int(port) for port in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < port < 65536 for port in found):
        raise CommandError(f"--ports {text}: give numbers from 1 to 65535 with commas, such as 29003,29009")
    return found
