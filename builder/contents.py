"""How configurations lie in the database: compressed, and with a limit when they are taken out again."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping

import msgspec

from agent.clpconf.archive import MAX_FILES, MAX_TOTAL_BYTES, Bundle, Script
from agent.clpconf.document import MAX_BYTES

_FASTEST = 1  # A save waits for it.
_Scripts = dict[str, tuple[bytes, int]]


def pack(data: bytes) -> bytes:
    return zlib.compress(data, _FASTEST)


def unpack(blob: bytes | memoryview, limit: int = MAX_BYTES) -> bytes:
    """ValueError when it is larger than anything that was ever stored."""
    engine = zlib.decompressobj()
    data = engine.decompress(bytes(blob), limit + 1)
    if len(data) > limit:
        raise ValueError(f"more than {limit} bytes are stored here")
    return data


def pack_scripts(scripts: Mapping[str, Script]) -> bytes:
    return pack(msgspec.msgpack.encode({path: tuple(script) for path, script in scripts.items()})) if scripts else b""


def unpack_scripts(blob: bytes | memoryview) -> dict[str, Script]:
    if not blob:
        return {}
    data = unpack(blob, MAX_TOTAL_BYTES + 2048 * MAX_FILES)
    return {path: Script(*script) for path, script in msgspec.msgpack.decode(data, type=_Scripts).items()}


def hash_of(bundle: Bundle) -> str:
    """The same for equal files, whatever archive they came in."""
    digest = hashlib.sha256(bundle.conf)
    for path, script in sorted(bundle.scripts.items()):
        digest.update(f"\0{path}\0{script.mode:o}\0{len(script.data)}\0".encode("utf-8", "surrogatepass"))
        digest.update(script.data)
    return digest.hexdigest()
