"""TLS certificates for servers of tests: made up, valid for an hour, trusted only if configured."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from portability.certificates import trusted_certificates


def contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server with that name, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    present = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(present - timedelta(minutes=5))
        .not_valid_after(present + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=made.public_bytes(Encoding.PEM).decode())


@contextmanager
def own_authority(path: Path, by: str = "variable") -> Iterator[None]:
    """Trust the authorities of a file: `by` the "variable" SSL_CERT_FILE, as the "machine" does, or "nothing"."""
    with pytest.MonkeyPatch.context() as patch:
        if by == "variable":
            patch.setenv("SSL_CERT_FILE", str(path))
        if by == "machine":
            patch.setattr("ssl.SSLContext.load_default_certs", lambda self, *_purpose: self.load_verify_locations(path))
        patch.setattr("httpx._transports.default.create_ssl_context", httpx.create_ssl_context)  # tests share another
        trusted_certificates.cache_clear()
        try:
            yield
        finally:
            trusted_certificates.cache_clear()
