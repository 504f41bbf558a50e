"""manage.py witness: which clusters this manager is a witness of."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from agent.wire.witness import SECRET_BYTES, is_cluster
from agent.witness.mind import promise_of
from webmanager.data import make_data_directory
from webmanager.databases import bring_up_to_date
from webmanager.witness import services
from webmanager.witness.models import Witness


class Command(BaseCommand):
    help = "Makes this manager a witness (httpnp) of clusters: one vote each, no groups."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("add", help="reads CLUSTER SECRET, as `clpwitness secret` prints it on one of its servers")
        actions.add_parser("list", help="of which clusters, and what was promised to them")
        remove = actions.add_parser("remove", help="forget a cluster; while its servers are stopped")
        remove.add_argument("cluster")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        make_data_directory()
        bring_up_to_date()
        getattr(self, f"_{action}")(options)

    def _add(self, options: dict[str, Any]) -> None:
        if sys.stdin.isatty():
            print("Paste the line that `clpwitness secret` prints on a server of the cluster:", file=sys.stderr)
        name, _, text = sys.stdin.readline(2000).strip().rpartition(" ")
        try:
            secret = bytes.fromhex(text)
        except ValueError:
            secret = b""
        if len(secret) != SECRET_BYTES or not is_cluster(name.strip()):
            raise CommandError("This must be CLUSTER SECRET, as `clpwitness secret` prints it.")
        created = services.add(cluster=name.strip(), secret=secret)
        print(f"This manager is {'now' if created else 'still'} a witness of {name.strip()}.")

    def _list(self, options: dict[str, Any]) -> None:
        for row in Witness.objects.all():
            print(f"{row.cluster:<20} {_promised(row)}")

    def _remove(self, options: dict[str, Any]) -> None:
        if not Witness.objects.filter(cluster=options["cluster"]).delete()[0]:
            raise CommandError(f"{options['cluster']} is not known here; see: manage.py witness list")


def _promised(row: Witness) -> str:
    try:
        record = promise_of(row.promise).record if row.promise else None
    except ValueError:
        return "damaged: stop its servers, then remove and add it again"
    return f"view {record.epoch} of {', '.join(record.members)}" if record else "nothing promised"
