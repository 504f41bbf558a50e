"""clpcfset: make and change the clp.conf of the current directory, with the words of the original."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.cli import options
from agent.cli.client import REFUSED, USAGE, CommandError
from agent.cli.clpcf_file import CONF, EDIT_CODES, change, codes, finish, said, words_of, write
from agent.clpconf import command_words
from agent.clpconf.document import DocumentError
from agent.clpconf.edit import EditError, create

_SYSTEMS = ("linux", "windows")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    return options.run("clpcfset", arguments.json, lambda: _run(arguments))


def _parser() -> argparse.ArgumentParser:
    made = options.parser("clpcfset", "Make and change ./clp.conf. Nothing but that file is touched.")
    made.usage = "clpcfset [--help] [--json] create|add|del WORD ..."
    made.epilog = f"""
  create CLUSTER ASCII|EUC-JP|GB2312|UTF-8 [CODEPAGE] [linux|windows]
                      a new file; one that is there is kept as clp.conf.bak
{command_words.usage()}

  What is added again is replaced. A PATH of clsparam is one below /root: cluster/heartbeat/timeout,
  server@server1/survive. Numbers of devices are those of the file (300) or counted from the first of the kind (0).
  np: pingnp DEVICE PRIORITY GROUP LIST ADDRESS, httpnp DEVICE PRIORITY HOST:PORT, disknp DEVICE PRIORITY,
  majonp PRIORITY.

{codes(EDIT_CODES)}"""
    made.add_argument("what", choices=("create", "add", "del"), help=argparse.SUPPRESS)
    made.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return made


def _run(arguments: argparse.Namespace) -> int:
    if arguments.what == "create":
        _create(arguments.words)
        return finish(arguments.json, changed=True)
    changed = change(Path(CONF), words_of(arguments.what, arguments.words))
    return finish(arguments.json, changed=changed)


def _create(words: Sequence[str]) -> None:
    if not 2 <= len(words) <= 4:
        raise CommandError(USAGE, "Usage: create CLUSTER ASCII|EUC-JP|GB2312|UTF-8 [CODEPAGE] [linux|windows]")
    name, charset, *more = words
    system = more.pop() if more and more[-1] in _SYSTEMS else "linux"
    if len(more) > 1:
        raise CommandError(USAGE, f'"{more[1][:40]}" is no system. Known: {", ".join(_SYSTEMS)}.')
    try:
        data = create(name, charset, more[0] if more else "", system).write()
    except (EditError, DocumentError) as error:
        raise CommandError(REFUSED, said(error)) from None
    path = Path(CONF)
    if path.exists():
        write(path.with_name(f"{CONF}.bak"), path.read_bytes(), path.stat().st_mode & 0o777)
    write(path, data)


if __name__ == "__main__":
    sys.exit(main())
