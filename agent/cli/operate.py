"""Requests of the commands: asked several at a time, answered in the order of asking, printed as text or JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.cli import client, options

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """One request: `verb` and `subject` name it in the output ("Start server1"). `via`: the agent that is asked."""

    op: str
    verb: str
    subject: str
    target: str = ""
    server: str = ""
    via: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    wish: Wish
    result: client.Result


def fulfil(wishes: Sequence[Wish], command: str, timeout_s: float, *, quiet: bool) -> list[Done]:
    """Ask all; one end of time for all of them."""
    end = time.monotonic() + timeout_s
    with options.progress_lines(not quiet) as show:
        if len(wishes) == 1:
            return [_ask(wishes[0], command, end, show)]
        from concurrent.futures import ThreadPoolExecutor  # Slow to import, and one request is the usual case.

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda wish: _ask(wish, command, end, show), wishes))


def _ask(wish: Wish, command: str, end: float, show: Callable[[str], None]) -> Done:
    wait_s = max(0.1, end - time.monotonic())
    result = client.ask(
        wish.op,
        command,
        target=wish.target,
        server=wish.server,
        via=wish.via,
        wait_s=round(wait_s, 1),
        progress=show,
    )
    return Done(wish, result)


def report(command: str, done: Sequence[Done], as_json: bool, *, named: bool) -> int:
    """Print how the requests ended; `named`: a line for each subject. The exit code is the gravest one's."""
    code = exit_code(done)
    if as_json:
        print(options.json_text({"ok": code == client.OK, "code": code, "results": [_as_json(one) for one in done]}))
    for line, well in _lines(done, named):
        if not well:
            print(f"{command}: {line}", file=sys.stderr)
        elif not as_json:
            print(line)
    return code


def exit_code(done: Sequence[Done]) -> int:
    codes = {one.result.exit_code for one in done}
    order = (client.UNREACHABLE, client.REFUSED, client.NOT_YET)
    return next((code for code in order if code in codes), client.OK)


def _lines(done: Sequence[Done], named: bool) -> Iterator[tuple[str, bool]]:
    for one in done:
        well = one.result.exit_code == client.OK
        text = "Command succeeded." if well else one.result.text
        yield (f"{one.wish.verb} {one.wish.subject} : {text}" if named else text), well


def _as_json(one: Done) -> dict[str, object]:
    return {
        "request": one.wish.op,
        "target": one.wish.target,
        "server": one.wish.server,
        "code": one.result.exit_code,
        "reason": one.result.reason,
        "text": one.result.text,
    }
