"""clpdown: shut one server down, or reboot it, in good order: its groups move first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent.cli import client, options
from agent.cli.operate import Wish, fulfil, report

_NOTES = """
  clpdown [-r] [-h SERVER]        without -h: this server
  Its groups are moved to the others, then the cluster service stops, then the machine goes down, or up again (-r).
  clpstdn does so with all servers at once; clpcl -t stops the service only.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpdown", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpdown", "Shut one server down.", _NOTES)
    made.add_argument("-r", dest="reboot", action="store_true", help="reboot it")
    made.add_argument("-h", dest="host", default="", metavar="SERVER", help="that server")
    options.add_timeout(made)
    return made.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    view = client.status()
    server = arguments.host or view.me
    options.need_server(server, view.status["servers"])
    op, verb = ("server_reboot", "Reboot") if arguments.reboot else ("server_shutdown", "Shut down")
    done = fulfil([Wish(op, verb, server, target=server)], "clpdown", arguments.timeout, quiet=arguments.json)
    return report("clpdown", done, arguments.json, named=False)


if __name__ == "__main__":
    sys.exit(main())
