"""The stand-alone witness' files: the secrets of its clusters, and one durable promise for each."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from agent.drivers.files import read_limited, write_atomic
from agent.wire.witness import SECRET_BYTES, is_cluster
from agent.witness.mind import Promise, promise_fields, promise_of

MAX_CLUSTERS = 256
_FILE_BYTES = 1 << 20


class StoreError(Exception):
    """The witness cannot start; the sentence names the place and the remedy."""


def read_secrets(path: Path) -> dict[str, bytes]:
    """Cluster -> secret, from lines "CLUSTER SECRET" as `clpwitness secret` prints them; # begins a comment."""
    try:
        if path.stat().st_mode & 0o077:
            raise StoreError(f"{path} can be read by others than its owner. chmod 600 {path}.")
        text = (read_limited(path, _FILE_BYTES) or b"").decode()
    except (OSError, ValueError) as error:
        remedy = "Write a line for each cluster: what `clpwitness secret` prints on one of its servers"
        raise StoreError(f"{path} cannot be read ({error}). {remedy}, mode 0600.") from None
    secrets: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            cluster, secret = _secret(line, f"{path}, line {number}")
            secrets[cluster] = secret
    if not secrets:
        raise StoreError(f"{path} names no cluster. Run `clpwitness secret` on one of its servers; write that here.")
    if len(secrets) > MAX_CLUSTERS:
        raise StoreError(f"{path} names {len(secrets)} clusters; {MAX_CLUSTERS} are possible. Start a second witness.")
    return secrets


def _secret(line: str, place: str) -> tuple[str, bytes]:
    cluster, _, text = line.strip().rpartition(" ")
    cluster = cluster.strip()
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES or not is_cluster(cluster):
        raise StoreError(f"{place}: this must be CLUSTER SECRET as `clpwitness secret` prints it.")
    return cluster, secret


class PromiseFiles:
    """One file for each cluster below a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = directory / f".probe.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StoreError(f"{directory} cannot be written ({error.strerror}). Name another one: --state.") from None

    def read(self, cluster: str) -> Promise:
        """A damaged file is an error, never "nothing promised": a forgotten promise can split a cluster."""
        path = self._path(cluster)
        try:
            data = read_limited(path, _FILE_BYTES)
            return promise_of(json.loads(data)) if data is not None else Promise()
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path} cannot be read ({error}). Restore it, or, while all servers of cluster {cluster} are stopped, "
                "remove it."
            ) from None

    def write(self, cluster: str, promise: Promise) -> None:
        """Durable once it returns; OSError."""
        write_atomic(self._path(cluster), json.dumps(promise_fields(promise)).encode(), durable=True)

    def _path(self, cluster: str) -> Path:
        """Named as the cluster where that can be a file's name, else by a hash."""
        plain = len(cluster) <= 64 and cluster.isascii() and cluster.replace("-", "").replace("_", "").isalnum()
        name = cluster if plain else f"x.{hashlib.blake2b(cluster.encode(), digest_size=16).hexdigest()}"
        return self._directory / f"{name}.json"
