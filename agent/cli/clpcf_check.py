"""clpcfctrl --check, --diff and --compcheck: what is wrong in a configuration, what two of them do differently."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.catalog import specs
from agent.cli import options
from agent.cli.client import (
    OK,
    REFUSED,
    UNREACHABLE,
    USAGE,
    CommandError,
    Connection,
    config_directory,
    state_directory,
)  # fmt: skip
from agent.cli.clpcf_file import read_bundle, read_bytes, said
from agent.clpconf.diff import Difference, diff, diff_scripts
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.fences import FenceAgent
from agent.clpconf.findings import Finding
from agent.clpconf.plan import plan
from agent.clpconf.validate import validate
from agent.wire.inventory import Inventory
from agent.wire.live import checks_of, judge, subject_of

UNREADABLE = USAGE
_SLACK_S = 5.0


def check(path: Path, as_json: bool) -> int:
    """One finding a line: severity, code, path, text. 0 without errors, 1 with, 2 unreadable."""
    bundle, _ = read_bundle(path, UNREADABLE)
    try:
        document = Document.read(bundle.conf)
    except DocumentError as error:
        show(error.findings, as_json, UNREADABLE)
        return UNREADABLE
    found = validate(document, specs(), agents=_fence_agents(bundle.conf))
    code = REFUSED if any(one.severity == "error" for one in found) else OK
    show(found, as_json, code)
    return code


def show(found: Sequence[Finding], as_json: bool, code: int) -> None:
    if as_json:
        told = [{k: v for k, v in msgspec.to_builtins(one).items() if k != "said"} for one in found]
        print(options.json_text({"ok": code == OK, "code": code, "findings": told}))
        return
    for one in found:
        print(" ".join(str(one).split()))


def _fence_agents(conf: bytes) -> Mapping[str, FenceAgent] | None:
    if b"<fence" not in conf:
        return None
    from agent.drivers.fence import InstalledAgents

    return InstalledAgents(state_directory() / "fence-agents") or None


def compare(old: Path, new: Path, as_json: bool) -> int:
    """0 the same, 1 different, 2 unreadable."""
    bundles = [read_bundle(path, UNREADABLE) for path in (old, new)]
    before, after = (_document(path, bundle.conf) for path, (bundle, _) in zip((old, new), bundles, strict=True))
    found = diff(before, after, specs())
    words = plan(found, before, after, specs()).words() if found else []
    if all(can for _, can in bundles):
        found += diff_scripts(bundles[0][0].scripts, bundles[1][0].scripts)
    code = REFUSED if found else OK
    if as_json:
        told = [msgspec.to_builtins(one) for one in found]
        print(options.json_text({"ok": True, "code": code, "differences": told, "plan": words}))
    else:
        for one in found:
            print(_line(one))
    return code


def _document(path: Path, conf: bytes) -> Document:
    try:
        return Document.read(conf)
    except DocumentError as error:
        raise CommandError(UNREADABLE, f"{path} cannot be used: {said(error)}") from None


def _line(one: Difference) -> str:
    """removed resource exec1 /root/resource/exec@exec1; changed resource fip1 .../ip: IP address "a" -> "b"."""
    what = f"{one.change} {one.kind}" + (f" {one.name}" if one.name else "")
    before, after = (text or (one.default if one.label else "") for text in (one.before, one.after))
    values = f' "{before}" -> "{after}"' if before or after else ""
    said = f": {one.label}{values}" if one.label or values else ""
    return " ".join(f"{what} {one.path}{said} [{one.applies}]".split())


def live(path: Path | None, timeout_s: float, as_json: bool) -> int:
    """What the servers have, against what the configuration wants of them."""
    source = path or config_directory()
    conf = read_bytes(source / "clp.conf" if source.is_dir() else source)
    try:
        subject = subject_of(conf, specs())
    except DocumentError as error:
        raise CommandError(REFUSED, f"{source} cannot be used: {said(error)}") from None
    inventories, missing = _inventories(checks_of(subject), timeout_s)
    found = judge(subject, inventories)
    code = UNREACHABLE if missing else REFUSED if any(one.severity == "error" for one in found) else OK
    show(found, as_json, code)
    if missing and not inventories:
        raise CommandError(UNREACHABLE, missing)
    return code


def _inventories(checks: Mapping[str, Any], timeout_s: float) -> tuple[dict[str, Inventory], str]:
    """By server; and a sentence about those that did not answer, "" when all did."""
    request = {"id": uuid.uuid4().hex, "op": "inventory", "checks": msgspec.to_builtins(checks)}
    with Connection(timeout_s + _SLACK_S) as connection:
        connection.send({"op": "ask", "wait_s": timeout_s, "request": request})
        line = connection.receive()
    answer = line.get("answer")
    if not isinstance(answer, dict):
        raise CommandError(UNREACHABLE, str(line.get("error") or "The agent gave no answer."))
    try:
        found = msgspec.convert(answer.get("inventories", {}), dict[str, Inventory])
    except msgspec.ValidationError as error:
        raise CommandError(UNREACHABLE, f"The answer of the agent is not understood: {error}.") from None
    return found, "" if answer.get("code") == 0 else str(answer.get("text", "Not every server answered."))
