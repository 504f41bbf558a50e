"""TLS 1.3 around a mirror connection, apart from its socket: what comes and goes is moved through OpenSSL's memory.

A record of TLS has 16 KiB; through the socket itself each would cost several system calls.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Iterable

from agent.mirrord.certificate import make
from agent.mirrord.sealing import Buffer, FrameError

_RECORD = 16 << 10


def calling() -> ssl.SSLContext:
    """Of the side that connects. It proves the certificate by its fingerprint (handshake.py), not by who signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def accepting() -> tuple[ssl.SSLContext, str]:
    """Of the side that is called, with the SHA-256 of its certificate."""
    certificate = make()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # No connection goes on with what another one has agreed.
    # OpenSSL reads it from a file only; this one is in no file system.
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, certificate.pem.encode())
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return context, certificate.fingerprint


class Tunnel:
    """One connection. FrameError ends it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        server_side = context.protocol == ssl.PROTOCOL_TLS_SERVER
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side)
        self.open = False
        self.ended = False  # the other side has said so

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the other side's certificate."""
        certificate = self._tls.getpeercert(binary_form=True)
        return hashlib.sha256(certificate).digest() if certificate else b""

    def shake(self) -> bytes:
        """As far as the handshake goes with what has come; brings what is to be sent. `open` when it is over."""
        try:
            self._tls.do_handshake()
            self.open = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise FrameError(f"TLS does not come about: {error.reason or error}.") from error
        return self._out.read()

    def feed(self, data: Buffer) -> None:
        self._in.write(data)

    def read_into(self, room: memoryview) -> int:
        """0: nothing more for now."""
        got = 0
        try:
            while got < len(room):
                read = int(self._tls.read(len(room) - got, room[got:]))
                if not read:
                    break
                got += read
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            raise FrameError(f"What came was changed on its way: {error.reason or error}.") from error
        return got

    def seal(self, pieces: Iterable[Buffer]) -> bytes:
        """In order; all of it."""
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[self._tls.write(view[:_RECORD]) :]
        except ssl.SSLError as error:
            raise FrameError(f"TLS has failed: {error.reason or error}.") from error
        return self._out.read()
