"""What all commands have in common: help, exit codes, --json, and the way they end."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from agent.cli.client import EXIT_CODES, REFUSED, USAGE, CommandError

_MAX_TIMEOUT_S = 86400.0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sentence = message[:1].upper() + message[1:].rstrip(".") + "."
        self.exit(USAGE, f"{self.prog}: {sentence}\nTry {self.prog} --help.\n")


def parser(name: str, description: str, notes: str = "") -> argparse.ArgumentParser:
    """`-h` means a server, as in the original; help is `--help` only."""
    codes = "\n".join(f"  {code}  {meaning}" for code, meaning in EXIT_CODES)
    epilog = f"{notes}\nexit codes:\n{codes}"
    made = _Parser(
        prog=name,
        description=description,
        epilog=epilog,
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--help", action="help", help="show this help and exit")
    made.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return made


def timeout(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= _MAX_TIMEOUT_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and up to {_MAX_TIMEOUT_S:g}")
    return value


def add_verbs(what: argparse._MutuallyExclusiveGroup, *verbs: tuple[str, str, str]) -> None:
    """(flag, word for `arguments.what`, help): what the command shall do, one of them."""
    for flag, word, text in verbs:
        what.add_argument(flag, dest="what", action="store_const", const=word, help=text)


def add_timeout(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--timeout", type=timeout, default=300.0, metavar="SECONDS", help="how long to wait for the end (default 300)"
    )


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def run(name: str, as_json: bool, body: Callable[[], int]) -> int:
    """Exit code of `body`; turns what can end a command into one sentence on standard error."""
    try:
        code = body()
        sys.stdout.flush()
        return code
    except CommandError as error:
        return _fail(name, as_json, error)
    except TimeoutError:
        return _fail(name, as_json, CommandError(3, "The agent does not answer in time. Its agent.log says why."))
    except BrokenPipeError:
        # Whoever read our output has enough of it (`clpstat | head`); nothing more may be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except KeyboardInterrupt:
        return 130


def _fail(name: str, as_json: bool, error: CommandError) -> int:
    if as_json:
        print(json_text({"ok": False, "code": error.exit_code, "error": error.text}))
    print(f"{name}: {error.text}", file=sys.stderr)
    return error.exit_code


@contextmanager
def progress_lines(wanted: bool) -> Iterator[Callable[[str], None]]:
    """Progress on standard error, where a person watches; a line that is overwritten by the next one."""
    shown = wanted and sys.stderr.isatty()

    def show(text: str) -> None:
        if shown:
            line = " ".join(text.split())[:200]
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def sure(arguments: argparse.Namespace, lines: Sequence[str]) -> None:
    """What something costs is shown before it is asked. Whoever pipes an answer ("yes |") has given one."""
    for line in lines:
        print(line, file=sys.stderr if arguments.json else sys.stdout)
    if arguments.yes:
        return
    print("Do you want to go on? [yes/no] ", end="", flush=True, file=sys.stderr)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        print(file=sys.stderr)
        raise CommandError(REFUSED, "Nothing was done (-y, or an answer of yes, is needed).")


def need_server(name: str, known: Iterable[str]) -> None:
    """CommandError when there is no such server."""
    if name not in (known := list(known)):
        raise CommandError(REFUSED, f"There is no server {name}. Known: {names(known)}.")


def names(known: Sequence[str], limit: int = 20) -> str:
    """The known names for an error text."""
    if not known:
        return "none"
    more = f" and {len(known) - limit} more" if len(known) > limit else ""
    return ", ".join(known[:limit]) + more
