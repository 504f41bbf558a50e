"""manage.py user: people and their roles."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError

from webmanager.accounts import people
from webmanager.accounts.actor import Actor, at_the_shell
from webmanager.accounts.models import ROLES
from webmanager.data import make_data_directory
from webmanager.databases import bring_up_to_date
from webmanager.models import Cluster


class Command(BaseCommand):
    help = "Adds a person or changes the role, and lists both. Passwords: manage.py changepassword NAME."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="a new user gets a generated password, shown once")
        add.add_argument("name")
        add.add_argument("--role", choices=ROLES, default="viewer")
        add.add_argument("--on", metavar="CLUSTER", default="", help="the role counts on this cluster only")
        actions.add_parser("list", help="users and roles")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        make_data_directory()
        bring_up_to_date()
        getattr(self, f"_{action}")(options)

    def _add(self, options: dict[str, Any]) -> None:
        user, actor = get_user_model().objects.filter(username=options["name"]).first(), at_the_shell()
        try:
            if user is None:
                role = "" if options["on"] else options["role"]
                user, password = people.add(name=options["name"], role=role, actor=actor)
                print(f"Password of {options['name']} (shown only now, to be changed at first): {password}")
            self._set_role(user, options, actor)
        except people.ProblemError as problem:
            raise CommandError(str(problem)) from None

    def _set_role(self, user: Any, options: dict[str, Any], actor: Actor) -> None:
        cluster, role = options["on"], options["role"]
        if cluster and not Cluster.objects.filter(name=cluster).exists():
            raise CommandError(f"There is no cluster {cluster}.")
        everywhere = people.roles(user)["*"] if cluster else role
        people.set_roles(user=user, everywhere=everywhere, single={cluster: role} if cluster else {}, actor=actor)
        print(f"{user.get_username()} is {role}{f' on {cluster}' if cluster else ''}.")

    def _list(self, options: dict[str, Any]) -> None:
        for user in get_user_model().objects.order_by("username"):
            has = people.roles(user)
            single = ", ".join(f"{name}: {role}" for name, role in has.items() if name != "*")
            word = (has["*"] or "-") if user.is_active else "inactive"
            print(f"{user.get_username():<20} {word:<15} {single}".rstrip())
