"""clprestore: before and after a backup is written to the mirror disks of a server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent.cli import backup, client, options

_NOTES = """
  clprestore --pre [--online | --no-shutdown] [-h SERVER] [MIRROR...]
        The disks must be active nowhere: stop their groups first (clpgrp -t). The side of SERVER lets go of its data
        partition; write the backup to it. --no-shutdown stops the service as well, without a flag the server is shut
        down, for a copy from outside.
  clprestore --post [--online | --no-reboot] [--skip-copy]
        What the disk holds now is the truth: everything is copied to the other server, whose own data are lost. Tells
        so, and asks; -y answers yes. --force: although the other server has written since --pre.
        --skip-copy: both servers were prepared and restored from the same image; nothing is copied.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clprestore", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = backup.parser("clprestore", "Prepare and end a restore of mirror disks.", _NOTES)
    made.add_argument("--skip-copy", action="store_true", help="with --post: both were restored from the same image")
    arguments = made.parse_args(argv)
    backup.check(made, arguments)
    if arguments.skip_copy and arguments.what != "post":
        made.error("--skip-copy goes with --post only")
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    steps = backup.Steps("clprestore", arguments)
    if arguments.what == "status":
        return steps.show()
    if arguments.what == "pre":
        return steps.carry_out("mirror_restore_begin", "Prepare")
    if arguments.way != "only_reboot":
        options.sure(arguments, list(_costs(steps, arguments)))
    return steps.carry_out("mirror_restore_end", "Restore", same=arguments.skip_copy, force=arguments.force)


def _costs(steps: backup.Steps, arguments: argparse.Namespace) -> Sequence[str]:
    for name, mirror in steps.mirrors.items():
        active = [server for server, one in mirror["servers"].items() if one and one["active"]]
        if active:
            text = f"{name} is active on {active[0]}. Stop its group first: what is in use cannot be replaced."
            raise client.CommandError(client.REFUSED, text)
    said = []
    for name, mirror in steps.mirrors.items():
        other = next((server for server in mirror["servers"] if server != steps.server), "the other server")
        if arguments.skip_copy:
            said.append(f"{name}: {steps.server} and {other} count as equal from now on; nothing is copied.")
        else:
            said.append(
                f"{name}: what the disk of {steps.server} holds now is the truth; all that {other} has of it is "
                "overwritten."
            )
    return said


if __name__ == "__main__":
    sys.exit(main())
