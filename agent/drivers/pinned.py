"""TLS with one certificate that is known beforehand: whatever else a machine trusts does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext


def pinned(certificate: str) -> SSLContext:
    """`certificate`: PEM. Its name does not count: the certificate itself is the identity."""
    # Only an agent with such a manager pays for OpenSSL (4 MB).
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    # It may have been signed by a CA that is not here.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate)
    return context
