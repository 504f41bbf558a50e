"""The file by which drbdadm knows a mirror disk, made from the settings, the same on both servers. Pure.

Nothing else is written for DRBD, and nobody else's file is touched. It has the secret by which both sides know each
other: mode 0600.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from agent.mirrord.settings import Settings

VERSION_9 = (9, 0)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_LONGEST_TEXT = 255  # of drbdadm's reader
_FAST_RESYNC = "c-plan-ahead 20; c-fill-target 1M; c-min-rate 4M; c-max-rate 4G;"


def minor_of(settings: Settings) -> int:
    """Each mirror has its own port: with that number no other DRBD of the server is met."""
    return settings.port


def device_of(settings: Settings) -> str:
    return f"/dev/drbd{minor_of(settings)}"


def secret_of(settings: Settings) -> str:
    """From the cluster's key, one way, for this mirror alone."""
    return blake2b(
        f"drbd {settings.cluster} {settings.mirror}".encode(), key=bytes.fromhex(settings.key)[:64], digest_size=24
    ).hexdigest()


def resource_text(settings: Settings, own_host: str, handler: str, version: tuple[int, int], digest: str) -> str:
    """`own_host` as `uname -n` says it; `handler` the command of agent/drbdd/handler.py; `digest` what both kernels
    have for the proof of the secret, "" none. ValueError: what DRBD cannot be told."""
    if why := unfit(settings):
        raise ValueError(why)
    fencing = "    fencing resource-and-stonith;\n"
    ping = max(2, round(settings.silent_s) - 1)
    proof = f'    cram-hmac-alg {digest};\n    shared-secret "{secret_of(settings)}";\n' if digest else ""
    modern = version >= VERSION_9
    text = (
        f"# Made by openclp for {settings.mirror} of the cluster {_one_line(settings.cluster)}. Do not edit: it is "
        "written anew.\n"
        f"resource {_quoted(settings.mirror)} {{\n"
        "  net {\n"
        "    protocol C;\n"
        f"{proof}{fencing if modern else ''}"
        "    after-sb-0pri disconnect;\n    after-sb-1pri disconnect;\n    after-sb-2pri disconnect;\n"
        "    verify-alg crc32c;\n"
        f"    ping-int {ping};\n    ping-timeout 10;\n    timeout {ping * 10 - 5};\n    connect-int {max(3, ping)};\n"
        "  }\n"
        "  disk {\n"
        f"{'' if modern else fencing}"
        f"    on-io-error detach;\n    {_FAST_RESYNC}\n"
        "  }\n"
        "  handlers {\n"
        f"    fence-peer {_quoted(f'{handler} fence')};\n    split-brain {_quoted(f'{handler} parted')};\n"
        "  }\n"
    )
    peer = settings.peer if settings.peer != own_host else f"{settings.peer}-peer"
    connect = settings.connects[0]
    sides = {own_host: (settings.server, connect.own), peer: (settings.peer, connect.peer)}
    order = sorted((settings.server, settings.peer))
    for host, (server, address) in sides.items():
        text += _side(settings, host, address, order.index(server) if modern else None)
    return text + "}\n"


def _side(settings: Settings, host: str, address: str, node: int | None) -> str:
    family, shown = ("ipv6 ", f"[{address}]") if ":" in address else ("", address)
    number = f"    node-id {node};\n" if node is not None else ""
    return (
        f"  on {_quoted(host)} {{\n{number}"
        f"    device {device_of(settings)} minor {minor_of(settings)};\n"
        f"    disk {_quoted(settings.data)};\n    meta-disk {_quoted(settings.partition)};\n"
        f"    address {family}{shown}:{settings.port};\n  }}\n"
    )


def unfit(settings: Settings) -> str:
    """Why DRBD cannot have this mirror, with the remedy; "": it can."""
    if not settings.connects:
        return f"{settings.mirror} has no mirror connect: give it the addresses of both servers."
    return unfit_name(settings.mirror)


def unfit_name(name: str) -> str:
    if name == "all":
        return 'A mirror whose engine is DRBD cannot be named "all": to drbdadm that is every resource of the server.'
    if not _NAME.fullmatch(name):
        return f"{name!r} cannot be the name of a DRBD resource. Use letters, digits, '_', '-' or '.', at most 63."
    return ""


def _quoted(text: str) -> str:
    """As drbdadm reads it. ValueError: it cannot."""
    if not text.isprintable():
        raise ValueError(f"{text!r} has characters that DRBD's configuration cannot have.")
    found = text.replace("\\", "\\\\").replace('"', '\\"')
    if len(found.encode()) > _LONGEST_TEXT:
        raise ValueError(f"{text!r} is longer than the {_LONGEST_TEXT} bytes that DRBD's configuration can have.")
    return f'"{found}"'


def _one_line(text: str) -> str:
    """For a comment: nothing that ends its line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
