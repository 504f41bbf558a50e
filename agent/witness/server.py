"""clpwitness: a witness for one or more clusters, on a machine of its own.

    clpwitness --listen HOST:PORT --state DIRECTORY --secret-file FILE
    clpwitness secret        on a server of the cluster: prints the line for FILE

One process, one event loop. A promise is written by a thread, so that a slow disk delays its own cluster only; while
it is being written no beat of that cluster is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.wire import witness as wire
from agent.witness import door
from agent.witness.http import HttpRequest, HttpServer
from agent.witness.mind import Witness
from agent.witness.store import PromiseFiles, StoreError, read_secrets

EXIT_CONFIG = 78


def steady() -> float:
    """Counts what the machine slept: leases do, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Cluster:
    """One cluster, its secret, its mind and its file."""

    def __init__(self, name: str, secret: bytes, files: PromiseFiles) -> None:
        self.name = name
        self.secret = secret
        self._files = files
        self._witness = Witness(files.read(name), steady(), secrets.token_hex(16))
        self._one = asyncio.Lock()

    async def answer(self, request: door.Request) -> door.Reply:
        async with self._one:
            status, body, promise = door.answer(self._witness, request.content, steady())
            if promise is not None:
                try:
                    await asyncio.to_thread(self._files.write, self.name, promise)
                except OSError as error:
                    _say(f"cluster {self.name}: the promise of view {promise.record.epoch} is not kept: {error}")
                    status, body = 503, door.failure(error.strerror)
                else:
                    self._witness.keep(promise)
                    members = ", ".join(promise.record.members)
                    _say(f"cluster {self.name}: promised view {promise.record.epoch} of {members}")
        return door.signed(self.secret, request.signature, status, body)

    def show(self) -> door.Reply:
        return door.show(self._witness, self.name, steady())


class Service:
    def __init__(self, secrets_of: Mapping[str, bytes], files: PromiseFiles) -> None:
        self._clusters = {name: Cluster(name, secret, files) for name, secret in secrets_of.items()}

    async def handle(self, request: HttpRequest) -> door.Reply:
        place = wire.split_path(request.path)
        if place is None:
            return door.Reply(404, wire.encode_error(f"a witness answers below {wire.PREFIX}CLUSTER"))
        name, op = place
        if request.method != ("POST" if op else "GET"):
            return door.Reply(405, wire.encode_error("POST for beat and propose, GET for the state"))
        cluster = self._clusters.get(name)
        authorization = request.headers.get("authorization", "")
        if not op:
            if cluster is None or not wire.may_view(cluster.secret, authorization):
                return door.Reply(401, wire.encode_error(door.STRANGER))
            return cluster.show()
        secret = cluster.secret if cluster else None
        admitted = door.admit(secret, request.path, op, authorization, request.body)
        if isinstance(admitted, door.Reply):
            return admitted
        assert cluster is not None, "nobody is admitted without a secret"
        return await cluster.answer(admitted)


async def serve(host: str, port: int, service: Service) -> None:
    """Until SIGTERM or SIGINT."""
    server = HttpServer(service.handle)
    listener = await server.start(host, port)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    for end in listener.sockets:
        at = end.getsockname()
        _say(f"listening on {at[0]} port {at[1]}")
    await ended.wait()
    listener.close()
    await server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.op == "secret":
            return _print_secret()
        host, port = _address(options.listen)
        secrets_of = read_secrets(options.secret_file)
        files = PromiseFiles(options.state)
        with _only_one(options.state):
            asyncio.run(serve(host, port, Service(secrets_of, files)))
    except StoreError as error:
        sys.stderr.write(f"clpwitness: {error}\n")
        return EXIT_CONFIG
    except OSError as error:
        sys.stderr.write(f"clpwitness: {options.listen}: {error.strerror or error}. Name another one: --listen.\n")
        return EXIT_CONFIG
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clpwitness", description="A witness for clusters: one vote, no groups.")
    what = "serve (the default), or, on a server of a cluster, print the line for the secret file"
    parser.add_argument("op", nargs="?", choices=("serve", "secret"), default="serve", help=what)
    parser.add_argument("--listen", default="0.0.0.0:29080", metavar="HOST:PORT", help="default: %(default)s")
    what = "where promises are kept; never on a disk of the cluster (default: %(default)s)"
    parser.add_argument("--state", type=Path, default=Path("/var/lib/clpwitness"), metavar="DIRECTORY", help=what)
    what = "lines CLUSTER SECRET, mode 0600 (default: %(default)s)"
    parser.add_argument("--secret-file", type=Path, default=Path("/etc/clpwitness.secret"), metavar="FILE", help=what)
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise StoreError(f"--listen takes HOST:PORT, as in 0.0.0.0:29080 or [::]:29080, not {text!r}.")
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Two witnesses with one promise between them would each grant it."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreError(f"Another witness runs with the state in {directory}. Stop it, or use --state.") from None
    finally:
        os.close(lock)


def _print_secret() -> int:
    """The line for the witness' secret file, and how to look at its state."""
    from agent.daemon.load import ConfigurationError, read_config
    from agent.daemon.paths import paths

    places = paths()
    try:
        secret = wire.derive_secret(places.read_key())
        name = _cluster_name(read_config(places.config))
    except (ConfigurationError, ValueError) as error:
        raise StoreError(str(error)) from None
    sys.stdout.write(f"{name} {secret.hex()}\n")
    sys.stderr.write(
        f"To look at its state: curl -H 'Authorization: Bearer {wire.view_token(secret)}' "
        f"http://WITNESS:PORT{wire.path_of(name)}\n"
    )
    return 0


def _cluster_name(config: bytes) -> str:
    from agent import catalog
    from agent.clpconf.load import load

    cluster = load(config, catalog.specs()).cluster
    if cluster is None:
        raise StoreError("clp.conf cannot be used; `python -m agent.daemon.load` says why.")
    if not wire.is_cluster(cluster.name):
        raise StoreError(f"The cluster name {json.dumps(cluster.name)} cannot be used with a witness; rename it.")
    return cluster.name


def _say(text: str) -> None:
    sys.stderr.write(f"clpwitness: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
