"""manage.py agent: which servers may report to this manager."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from webmanager import agents
from webmanager.accounts import audit, joining
from webmanager.accounts.actor import at_the_shell
from webmanager.accounts.people import ProblemError
from webmanager.data import make_data_directory
from webmanager.databases import bring_up_to_date
from webmanager.models import Agent


class Command(BaseCommand):
    help = "Registers, lists and removes agents. The output of `add` is the server's manager.json."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="register a server; prints its manager.json (keep it 0600)")
        add.add_argument("node", help="the server's name, as in clp.conf")
        add.add_argument("--cluster", default="", help="its cluster; default: the one that it reports first")
        add.add_argument("--url", default="ws://127.0.0.1:29003/ws/agent/", help="how the server reaches this manager")
        token = actions.add_parser("token", help="a join token for clpjoin on the server; the best way")
        token.add_argument("node", help="the server's name, as in clp.conf")
        token.add_argument("--cluster", default="", help="its cluster; default: the one that it reports first")
        token.add_argument("--url", default="http://127.0.0.1:29003/", help="how the server reaches this manager")
        token.add_argument("--hours", type=float, default=joining.HOURS, help="how long it can be used")
        token.add_argument(
            "--certificate", default="", help="with https: the certificate that the server meets, as PEM"
        )
        actions.add_parser("list", help="who is registered, and when it was last heard")
        remove = actions.add_parser("remove", help="take a server's right away")
        remove.add_argument("node")
        remove.add_argument("--cluster", default="")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        make_data_directory()
        bring_up_to_date()
        getattr(self, f"_{action}")(options)

    def _add(self, options: dict[str, Any]) -> None:
        if ":" in options["node"] or not options["node"].isprintable():
            raise CommandError("A server's name holds no colon.")
        secret = agents.add(node=options["node"], cluster=options["cluster"])
        self._tell("agent.add", options)
        entry = {"url": options["url"], "node": options["node"], "secret": secret}
        print(json.dumps([entry], indent=2))
        if sys.stdout.isatty():
            print("Save this as /etc/openclp/manager.json (mode 0600) on the server.", file=sys.stderr)

    def _token(self, options: dict[str, Any]) -> None:
        asked = {key: options[key] for key in ("node", "cluster", "url", "hours", "certificate")}
        try:
            print(joining.make(**asked, actor=at_the_shell()))
        except ProblemError as problem:
            raise CommandError(str(problem)) from None
        if sys.stdout.isatty():
            print(f"Run clpjoin on {options['node']} and paste this; it works once.", file=sys.stderr)

    def _tell(self, action: str, options: dict[str, Any]) -> None:
        audit.add(action, who=at_the_shell().who, target=options["node"], cluster=options["cluster"])

    def _list(self, options: dict[str, Any]) -> None:
        for agent in Agent.objects.select_related("cluster"):
            seen = f"{agent.seen_at:%Y-%m-%d %H:%M:%S %Z}" if agent.seen_at else "never"
            print(f"{agent.node:<20} {agent.cluster.name if agent.cluster else '-':<20} last connected: {seen}")

    def _remove(self, options: dict[str, Any]) -> None:
        found = Agent.objects.filter(node=options["node"])
        if options["cluster"]:
            found = found.filter(cluster__name=options["cluster"])
        rows = list(found.select_related("cluster"))
        if not rows:
            raise CommandError(f"No agent {options['node']} is registered; see: manage.py agent list")
        for one in rows:
            joining.revoke(agent=one, actor=at_the_shell())
