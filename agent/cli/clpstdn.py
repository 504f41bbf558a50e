"""clpstdn: shut all servers of the cluster down, or reboot them, in good order."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent.cli import client, options
from agent.cli.operate import Wish, fulfil, report

_NOTES = """
  clpstdn [-r]                    all servers; -r: they come up again
  Every group is stopped before any server leaves, so that none of them is moved about first. clpdown is for one server.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpstdn", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpstdn", "Shut the whole cluster down.", _NOTES)
    made.add_argument("-r", dest="reboot", action="store_true", help="reboot")
    options.add_timeout(made)
    return made.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    view = client.status()
    servers = view.status["servers"]
    members = [name for name, server in servers.items() if server["status"] in ("Online", "Suspend")]
    # Where the service is stopped, a member has to be asked.
    via = "" if view.me in members or not members else members[0]
    op, verb = ("cluster_reboot", "Reboot") if arguments.reboot else ("cluster_shutdown", "Shut down")
    wish = Wish(op, verb, view.status["cluster"]["name"], via=via)
    done = fulfil([wish], "clpstdn", arguments.timeout, quiet=arguments.json)
    return report("clpstdn", done, arguments.json, named=False)


if __name__ == "__main__":
    sys.exit(main())
