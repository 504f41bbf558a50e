"""manage.py audit: the chain of who did what, checked, shown and taken away."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from webmanager.accounts import audit
from webmanager.data import make_data_directory
from webmanager.databases import bring_up_to_date


class Command(BaseCommand):
    help = "Who did what, from where, with which result. `verify` ends with 1 when a row was changed or removed."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("verify", help="is every row as it was written, and is none missing?")
        export = actions.add_parser("export", help="JSON lines, oldest first; each holds its hash and the one before")
        export.add_argument("--after", type=int, default=0, help="number of the last row that you have")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        make_data_directory()
        bring_up_to_date()
        getattr(self, f"_{action}")(options)

    def _verify(self, options: dict[str, Any]) -> None:
        verdict = audit.verify()
        if not verdict.whole:
            raise CommandError(f"{verdict.why} Right before it: {verdict.rows} rows.", returncode=1)
        print(f"{verdict.rows} rows are as they were written.")

    def _export(self, options: dict[str, Any]) -> None:
        for line in audit.lines(options["after"]):
            sys.stdout.write(line)
