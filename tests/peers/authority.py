"""Whom do the servers on this machine believe? One private authority and one certificate, which every server presents.

https://spec.matrix.org/v1.19/server-server-api/#tls
"""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Authority:
    """The files of the authority and of the certificate for this machine."""

    ca: Path
    cert: Path
    key: Path


def make(folder: Path) -> Authority:
    """Makes a new authority in `folder`, and a certificate that names loopback."""
    made = Authority(folder / "ca.crt", folder / "leaf.crt", folder / "leaf.key")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(made.ca)
    made.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(made.key)
    made.key.chmod(0o600)
    return made
