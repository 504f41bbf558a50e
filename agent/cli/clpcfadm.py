"""clpcfadm.py: change single values and objects of a clp.conf, with the words of the original."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.cli import options
from agent.cli.client import USAGE, CommandError
from agent.cli.clpcf_file import CONF, EDIT_CODES, change, codes, finish, words_of

_NOTES = """
  add rsc GROUP TYPE RESOURCE            add rscdep TYPE RESOURCE OTHER        add mon TYPE MONITOR
  del rsc GROUP TYPE RESOURCE            del rscdep TYPE RESOURCE OTHER        del mon TYPE MONITOR
  mod -t PATH --set VALUE                one value; PATH is below /root: resource/fip@fip1/parameters/ip
  mod -t PATH --delete                   back to its default

  All other words of clpcfset are known here as well.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpcfadm.py", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpcfadm.py", "Change a clp.conf. Nothing but that file is touched.")
    made.epilog = f"{_NOTES}\n{codes(EDIT_CODES)}"
    made.add_argument("-i", dest="file", type=Path, default=Path(CONF), metavar="FILE", help="default ./clp.conf")
    verbs = made.add_subparsers(dest="what", required=True, metavar="add|del|mod")
    for verb in ("add", "del"):
        added = verbs.add_parser(verb, add_help=False)
        added.add_argument("words", nargs=argparse.REMAINDER)
    mod = verbs.add_parser("mod", add_help=False, allow_abbrev=False)
    mod.add_argument("-t", dest="path", required=True, metavar="PATH")
    value = mod.add_mutually_exclusive_group(required=True)
    value.add_argument("--set", "-set", dest="value", metavar="VALUE")
    value.add_argument("--delete", action="store_true")
    mod.add_argument("--nocheck", action="store_true", help=argparse.SUPPRESS)
    return made.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.what != "mod":
        return finish(arguments.json, changed=change(arguments.file, words_of(arguments.what, arguments.words)))
    if "@*" in arguments.path:
        raise CommandError(USAGE, "-t takes the path of one value.")
    path = arguments.path
    if arguments.delete:
        changed = change(arguments.file, lambda edit: edit.unset(path))
    else:
        changed = change(arguments.file, lambda edit: edit.set(path, arguments.value, explicit=True))
    return finish(arguments.json, changed=changed)


if __name__ == "__main__":
    sys.exit(main())
