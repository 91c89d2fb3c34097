"""
A throw-away certificate authority: TLS for the hosts of real venues, on loopback only.

Whoever trusts its certificate can be shown any of ``HOSTS`` by a server of our own, so the
private keys stay with the process that made them: one in memory, the server's in a file of its
owner that is removed as soon as it was read.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actors.runtime.clock import wall_ms

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, KeyUsage, Name

HOSTS: Final = (
    "*.binance.com",
    "*.bybit.com",
    "*.okx.com",
    "*.hyperliquid.xyz",
    "*.kraken.com",
    "*.alpaca.markets",
    "*.data.alpaca.markets",
    "localhost",
)
"""Which hosts the server may pass for."""

LIFE: Final = timedelta(days=30)
"""Longer than any rehearsal, and no longer."""


class AuthorityUnavailable(Exception):
    """The package that mints certificates is not installed."""


class TestAuthority:
    """
    A certificate authority in ``folder``: ``ca_path`` is what clients trust.

    Raises ``AuthorityUnavailable`` without the package ``cryptography``.
    """

    __test__ = False
    """What collects tests by their names is to leave this one alone."""

    def __init__(self, folder: Path, hosts: tuple[str, ...] = HOSTS) -> None:
        """Mint a new authority and a certificate of ``hosts``."""
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError:
            raise AuthorityUnavailable(
                "TLS needs the package cryptography, which comes with: pip install 'tidegate[ccxt]'"
            ) from None
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_path = folder / "ca.pem"
        authority = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tidegate test CA")])
        root = _signed(issuer, issuer, authority, authority, ())
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tidegate venue")])
        leaf = _signed(subject, issuer, key, authority, hosts)
        self.tls = _context(folder, key, leaf, root)
        """What the server presents itself with."""
        self.ca_path.write_bytes(_pem(root))


def _signed(
    subject: Name,
    issuer: Name,
    key: EllipticCurvePrivateKey,
    by: EllipticCurvePrivateKey,
    hosts: tuple[str, ...],
) -> Certificate:
    """Return the certificate of ``key``: an authority's without ``hosts``, a server's with them."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    begins = datetime.fromtimestamp(wall_ms() / 1000, UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A client whose clock is a little behind is served all the same.
        .not_valid_before(begins - timedelta(days=1))
        .not_valid_after(begins + LIFE)
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False
        )
        .add_extension(_usage(authority=not hosts), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        made = made.add_extension(names, critical=False)
    return made.sign(by, hashes.SHA256())


def _usage(*, authority: bool) -> KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _context(
    folder: Path, key: EllipticCurvePrivateKey, leaf: Certificate, root: Certificate
) -> ssl.SSLContext:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = folder / f"server-{os.getpid()}.pem"
    opened = os.open(chain, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(opened, "wb") as file:  # noqa: PTH123  # a descriptor, made for its owner only
            file.write(content + _pem(leaf) + _pem(root))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(chain)
    finally:
        with suppress(FileNotFoundError):
            chain.unlink()
    return context


def _pem(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)
