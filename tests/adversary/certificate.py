"""Certificates of the test's own: issued by themselves or by an issuer, for names and a time."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, both as PEM files."""

    file: Path
    key_file: Path


def issued(
    folder: Path,
    name: str,
    *,
    by: Certificate | None = None,
    host: str = "127.0.0.1",
    days: int = 1,
) -> Certificate:
    """A certificate called *name* for *host*, signed by itself unless it has an issuer.

    It is valid for *days* from a day ago on, which is over where that is negative.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.load_pem_x509_certificate(by.file.read_bytes()).subject if by else subject
    begin = datetime.now(UTC) - DAY
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin - 2 * abs(days) * DAY)
        .not_valid_after(begin + days * DAY + DAY / 2)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general(host)]), critical=False)
    )
    signer = load_pem_private_key(by.key_file.read_bytes(), None) if by else key
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    written = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    written.file.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))
    written.key_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return written


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
