"""manage.py user: people and their roles."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import BaseCommand

from webmanager.access import role_of
from webmanager.data import make_data_directory
from webmanager.databases import bring_up_to_date

ROLES = ("administrator", "operator", "viewer")


class Command(BaseCommand):
    help = "Adds a person or changes the role, and lists both. Passwords: manage.py changepassword NAME."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="a new user gets a generated password, shown once")
        add.add_argument("name")
        add.add_argument("--role", choices=ROLES, default="viewer")
        actions.add_parser("list", help="users and roles")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        make_data_directory()
        bring_up_to_date()
        getattr(self, f"_{action}")(options)

    def _add(self, options: dict[str, Any]) -> None:
        user, new = get_user_model().objects.get_or_create(username=options["name"])
        if new:
            password = secrets.token_urlsafe(12)
            user.set_password(password)
            user.save()
            print(f"Password of {options['name']} (shown only now): {password}")
        user.groups.set([Group.objects.get(name=options["role"])])
        print(f"{options['name']} is {options['role']}.")

    def _list(self, options: dict[str, Any]) -> None:
        for user in get_user_model().objects.order_by("username"):
            print(f"{user.get_username():<20} {role_of(user) or 'inactive'}")
