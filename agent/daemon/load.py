"""`python -m agent.daemon.load [FILE|-]`: read clp.conf, print the model as JSON, findings on stderr, 1 with errors.

A process of its own, so that the XML library never lives in the daemon. When clpd runs it (it then names its
incarnation), it also remembers the model as what this incarnation runs, so that the daemon need not read it again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.clpconf.model import Cluster
from agent.daemon.paths import INCARNATION, Paths, paths
from agent.daemon.running import RUNNING, Running, read_running, write_running
from agent.daemon.switching import SwitchError, settle

if TYPE_CHECKING:
    from agent.clpconf.fences import FenceAgent

LIMIT_BYTES = 16 << 20
TIMEOUT_S = 60.0


class ConfigurationError(Exception):
    """clp.conf cannot be used. Its text holds all findings, one a line."""


def read_config(path: str) -> bytes:
    """The file's bytes; ConfigurationError with a remedy when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}. Copy clp.conf of the cluster there."
        ) from error
    if len(data) > LIMIT_BYTES:
        raise ConfigurationError(f"{path} is larger than {LIMIT_BYTES} bytes; this is no clp.conf.")
    return data


async def load_cluster(data: bytes) -> tuple[Cluster, list[str]]:
    """The model, made by a short-lived process, and the findings that do not hinder."""
    import asyncio  # That process would only pay for it.

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.daemon.load", "-",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(TIMEOUT_S):
            model, complaints = await process.communicate(data)
    except TimeoutError:
        raise ConfigurationError(f"clp.conf could not be read within {TIMEOUT_S:g} s.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    findings = complaints.decode("utf-8", "replace").splitlines()
    if process.returncode != 0:
        raise ConfigurationError("\n".join(findings) or f"the reader of clp.conf ended with {process.returncode}")
    return msgspec.json.decode(model, type=Cluster), findings


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    path = given[0] if given else paths().config
    incarnation = 0 if given else int(os.environ.get(INCARNATION) or 0)  # clpd wants to know
    try:
        if incarnation:
            _settle(paths(), incarnation)
        data = sys.stdin.buffer.read(LIMIT_BYTES + 1) if path == "-" else read_config(path)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    running = _known(paths(), data, incarnation) if incarnation else None
    if running is None:
        cluster, findings = read_model(data, paths())
        if cluster is None:
            sys.stderr.write("".join(f"{finding}\n" for finding in findings))
            return 1
        running = Running(incarnation=incarnation, config=data, cluster=cluster, findings=findings)
        if incarnation:
            _remember(paths(), running)
    sys.stderr.write("".join(f"{finding}\n" for finding in running.findings))
    sys.stdout.buffer.write(msgspec.json.encode(running.cluster))
    sys.stdout.buffer.flush()
    return 0


def read_model(data: bytes, places: Paths) -> tuple[Cluster | None, tuple[str, ...]]:
    """The model, None when it cannot be run, and all findings."""
    from agent import catalog
    from agent.clpconf.load import load

    loaded = load(data, catalog.specs(), _fence_agents(places) if b"<fence" in data else None)
    bad = any(finding.severity == "error" for finding in loaded.findings)
    return None if bad else loaded.cluster, tuple(str(finding) for finding in loaded.findings)


def _settle(places: Paths, incarnation: int) -> None:
    """A change of the files that the end of a daemon, of clpd, or of the machine has interrupted."""
    try:
        settle(places, incarnation)
    except (SwitchError, OSError, shutil.Error) as error:
        raise ConfigurationError(f"A configuration could not be put in its place: {error}") from error


def _known(places: Paths, data: bytes, incarnation: int) -> Running | None:
    """After a change while the service runs: the model was made before."""
    running = read_running(Path(places.state) / RUNNING)
    known = running is not None and (running.incarnation, running.config) == (incarnation, data)
    return running if known else None


def _fence_agents(places: Paths) -> Mapping[str, FenceAgent] | None:
    from agent.drivers.fence import InstalledAgents

    return InstalledAgents(Path(places.fence_agents)) or None


def _remember(places: Paths, running: Running) -> None:
    with contextlib.suppress(OSError):  # The daemon reads clp.conf itself then, and says what is wrong with the disk.
        write_running(Path(places.state) / RUNNING, running)


if __name__ == "__main__":
    sys.exit(main())
