#!/usr/bin/env python3
"""Entry of the manager's commands: `manage.py up`, `manage.py agent add NODE`, and Django's own."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webmanager.settings")
    try:
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError as missing:
        sys.exit(f"manage.py: {missing.name} is not installed. Install the manager: pip install '.[manager]'")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
