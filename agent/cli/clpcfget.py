"""clpcfget: read names and values out of a clp.conf."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.catalog import specs
from agent.cli import options
from agent.cli.client import OK, REFUSED, CommandError
from agent.cli.clpcf_file import codes, read_document, running_conf
from agent.clpconf.document import Document
from agent.clpconf.element import Element
from agent.clpconf.objects import below_root, find, find_all
from agent.clpconf.sections import declared

_CODES = ((OK, "found"), (REFUSED, "there is nothing of that name, or the file cannot be read"), (2, "wrong usage"))
_NOTES = """
  clpcfget -e /root/monitor/types                  the names of the types of monitors
  clpcfget -e /root/resource/fip                   the names of the fip resources
  clpcfget -g /root/resource/fip@fip1/parameters/ip  a value; where the file has none, its default
"""


def main(argv: Sequence[str] | None = None) -> int:
    made = options.parser("clpcfget", "Read names and values out of a clp.conf.")
    made.epilog = f"{_NOTES}\n{codes(_CODES)}"
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("-e", dest="names", metavar="PATH", help="the names at PATH, one a line")
    what.add_argument("-g", dest="value", metavar="PATH", help="the value at PATH")
    made.add_argument("-i", dest="file", type=Path, metavar="FILE", help="default: the clp.conf of this server")
    arguments = made.parse_args(argv)
    return options.run("clpcfget", arguments.json, lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    document = read_document(arguments.file or running_conf())
    if arguments.names is not None:
        return _names(document, arguments.names, arguments.json)
    return _value(document, arguments.value, arguments.json)


def _names(document: Document, path: str, as_json: bool) -> int:
    found = find_all(document.root, path)
    if not found:
        raise CommandError(REFUSED, f"There is nothing at {path}.")
    names = [_name(one) for one in found]
    if as_json:
        print(options.json_text({"ok": True, "code": OK, "path": path, "names": names}))
    else:
        print("\n".join(names))
    return OK


def _name(element: Element) -> str:
    identity = element.identity
    return element.name if identity is None else identity


def _value(document: Document, path: str, as_json: bool) -> int:
    below = below_root(document.root, path)
    known = declared(f"/root/{below}", specs()) if below else None
    if known is not None and known.secret:
        raise CommandError(REFUSED, f"{path} is a secret; it is not shown.")
    element, default = find(document.root, below), False
    if element is not None and element.children:
        raise CommandError(REFUSED, f"{path} is no value. Its names: clpcfget -e.")
    text = element.value if element is not None else ""
    if not text and known is not None and known.param is not None and find(document.root, known.base) is not None:
        text, default = known.param.default_text, True
    elif element is None:
        raise CommandError(REFUSED, f"There is nothing at {path}.")
    if as_json:
        print(options.json_text({"ok": True, "code": OK, "path": path, "value": text, "default": default}))
    else:
        print(text)
    return OK


if __name__ == "__main__":
    sys.exit(main())
