"""manage.py demo: the demo's own command line, as bin/demo has it."""

from __future__ import annotations

import sys

from django.core.management.base import BaseCommand

from webmanager.demo.__main__ import main


class Command(BaseCommand):
    help = "A real cluster of three servers in namespaces of this machine; `demo --help` tells more."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        sys.exit(main(argv[2:]))
