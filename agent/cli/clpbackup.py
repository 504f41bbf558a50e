"""clpbackup: before and after a backup of the mirror disks of a server that stands by."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent.cli import backup, options

_NOTES = """
  clpbackup --pre --online [-h SERVER] [MIRROR...]
        The side of SERVER is separated, and its file system, held still for a moment on the other server, is mounted
        read-only below /run/openclp/backup. The group goes on; copy what you want; then --post --online.
  clpbackup --pre --no-shutdown    The same without mounting, and the service is stopped: the disk is yours to read.
  clpbackup --pre                  The same, and the server is shut down, for a copy from outside.
  clpbackup --post [--online | --no-reboot]
        The side joins again, and only what differs is copied. --no-reboot starts the service again; without a flag the
        server is rebooted. --force takes the mounted copy away from who still reads it.
  Whoever writes to a separated disk is noticed: then everything is copied to it.
  As long as a side is separated, nothing takes over there without losing what was written since.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpbackup", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = backup.parser("clpbackup", "Prepare and end a backup of mirror disks.", _NOTES)
    arguments = made.parse_args(argv)
    backup.check(made, arguments)
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    steps = backup.Steps("clpbackup", arguments)
    if arguments.what == "status":
        return steps.show()
    if arguments.what == "pre":
        return steps.carry_out("mirror_backup_begin", "Separate", mount=arguments.way == "online")
    return steps.carry_out("mirror_backup_end", "Join", force=arguments.force)


if __name__ == "__main__":
    sys.exit(main())
