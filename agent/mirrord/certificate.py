"""A certificate for one run of a mirror process: TLS wants one, the cluster's key is what proves who is there.

Python's ssl makes no keys, and needs a certificate as long as it offers no pre-shared keys for TLS 1.3 (3.13 does). So
the key of P-256 and the few bytes of X.509 are made here. Nobody trusts this certificate for what it says: its
fingerprint is part of the proof (handshake.py), and OpenSSL refuses a certificate that does not fit its key.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import NamedTuple

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point = tuple[int, int] | None


class Certificate(NamedTuple):
    pem: str  # key and certificate; secret
    fingerprint: str  # SHA-256 of the certificate, hex


def make() -> Certificate:
    private = 1 + secrets.randbelow(_N - 1)
    point = _multiply(private, _G)
    assert point is not None
    public = b"\x04" + point[0].to_bytes(32) + point[1].to_bytes(32)
    der = _certificate(private, public)
    return Certificate(_pem("EC PRIVATE KEY", _key(private, public)) + _pem("CERTIFICATE", der),
                       hashlib.sha256(der).hexdigest())  # fmt: skip


# ---- the curve: once for each start, so that simple counts more than fast --------------------------------------------


def _add(a: _Point, b: _Point) -> _Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % _P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, _P) % _P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P) % _P
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P


def _multiply(number: int, point: _Point) -> _Point:
    result: _Point = None
    while number:
        if number & 1:
            result = _add(result, point)
        point = _add(point, point)
        number >>= 1
    return result


def _sign(private: int, data: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(data).digest())
    while True:
        once = 1 + secrets.randbelow(_N - 1)
        point = _multiply(once, _G)
        assert point is not None
        r = point[0] % _N
        s = pow(once, -1, _N) * (digest + r * private) % _N
        if r and s:
            return _sequence(_integer(r), _integer(s))


# ---- DER -------------------------------------------------------------------------------------------------------------


def _tagged(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + body


def _sequence(*parts: bytes) -> bytes:
    return _tagged(0x30, *parts)


def _integer(number: int) -> bytes:
    return _tagged(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def _bits(data: bytes) -> bytes:
    return _tagged(0x03, b"\0", data)


_EC_KEY = _tagged(0x06, bytes.fromhex("2a8648ce3d0201"))
_CURVE = _tagged(0x06, bytes.fromhex("2a8648ce3d030107"))
_ECDSA_SHA256 = _sequence(_tagged(0x06, bytes.fromhex("2a8648ce3d040302")))
_COMMON_NAME = _tagged(0x06, bytes.fromhex("550403"))
_NAME = _sequence(_tagged(0x31, _sequence(_COMMON_NAME, _tagged(0x0C, b"openclp mirror"))))
# Nobody looks at these times; a wrong clock must not keep a mirror apart.
_TIMES = _sequence(_tagged(0x17, b"000101000000Z"), _tagged(0x17, b"491231235959Z"))


def _certificate(private: int, public: bytes) -> bytes:
    version, serial = _tagged(0xA0, _integer(2)), _integer(secrets.randbits(120))
    subject_key = _sequence(_sequence(_EC_KEY, _CURVE), _bits(public))
    body = _sequence(version, serial, _ECDSA_SHA256, _NAME, _TIMES, _NAME, subject_key)
    return _sequence(body, _ECDSA_SHA256, _bits(_sign(private, body)))


def _key(private: int, public: bytes) -> bytes:
    secret = _tagged(0x04, private.to_bytes(32))
    return _sequence(_integer(1), secret, _tagged(0xA0, _CURVE), _tagged(0xA1, _bits(public)))


def _pem(title: str, der: bytes) -> str:
    text = base64.encodebytes(der).decode().replace("\n", "")
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {title}-----\n{lines}\n-----END {title}-----\n"
