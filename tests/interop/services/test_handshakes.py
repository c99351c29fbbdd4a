"""TLS handshakes that must fail, and exactly the suites that are offered (PS3.15 B.9 to B.12, BCP 195; P46)."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hilum.dimse import client
from hilum.dimse.client import Remote
from hilum.dimse.tls import client_context
from hilum.errors import HilumError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("live_server")
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        paths[0].write_bytes(self.certificate.public_bytes(Encoding.PEM))
        paths[1].write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return paths


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    since: datetime.datetime = NOW - DAY,
    until: datetime.datetime = NOW + DAY,
    authority: bool = False,
    usage: Any = None,
    key: Any = None,
    names: tuple[x509.GeneralName, ...] = (),
) -> Issued:
    """Make a certificate; without issuer it is signed by itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names or (x509.DNSName(name),)), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
    return Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def revocations(issuer: Issued, *revoked: Issued, until: datetime.datetime = NOW + DAY) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(NOW - DAY).next_update(until)
    for each in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(NOW - DAY).build())
    return bytes(builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM))


CA = issue("authority", authority=True)
OTHER_CA = issue("strangers", authority=True)
SERVER = issue("hilum", CA, names=(x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")))
FRIEND = issue("FRIEND", CA)
LOST = issue("LOST", CA)
GOOD = {
    "a friend": FRIEND,
    "for clients": issue("CLIENT", CA, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
    "RSA": issue("RSA", CA, key=rsa.generate_private_key(65537, 2048)),
}
with warnings.catch_warnings(action="ignore"):
    SHORT_KEY = rsa.generate_private_key(65537, 1024)
BAD = {
    "revoked": LOST,
    "expired": issue("FRIEND", CA, since=NOW - 9 * DAY, until=NOW - DAY),
    "not yet": issue("FRIEND", CA, since=NOW + DAY, until=NOW + 9 * DAY),
    "of strangers": issue("FRIEND", OTHER_CA),
    "signed by itself": issue("FRIEND"),
    "signed by a friend": issue("FRIEND", FRIEND),
    "for servers": issue("FRIEND", CA, usage=ExtendedKeyUsageOID.SERVER_AUTH),
    "for code": issue("FRIEND", CA, usage=ExtendedKeyUsageOID.CODE_SIGNING),
    "a short key": issue("FRIEND", CA, key=SHORT_KEY),
    "an authority of the same name": issue("FRIEND", issue("authority", authority=True)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handshakes")
    CA.write(folder, "ca")
    OTHER_CA.write(folder, "other")
    SERVER.write(folder, "server")
    FRIEND.write(folder, "friend")
    (folder / "revoked.pem").write_bytes(revocations(CA, LOST))
    (folder / "server-revoked.pem").write_bytes(revocations(CA, SERVER))
    (folder / "stale.pem").write_bytes(revocations(CA, until=NOW - DAY / 2))
    return folder


@pytest.fixture(scope="module")
def server(serve_module: Any, folder: Path) -> Any:
    return serve_module(
        folder / "archive",
        "--workers",
        "1",
        HILUM__DIMSE__TLS_CERTIFICATE=str(folder / "server.pem"),
        HILUM__DIMSE__TLS_KEY=str(folder / "server.key"),
        HILUM__DIMSE__TLS_TRUSTED=str(folder / "ca.pem"),
        HILUM__DIMSE__TLS_REVOKED=str(folder / "revoked.pem"),
    )


def own_context(folder: Path, issued: Issued) -> ssl.SSLContext:
    """As a peer that is less strict than we are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(*issued.write(folder, "presented"))
    return context


def echo(server: Any, context: ssl.SSLContext) -> float:
    return client.echo(Remote("127.0.0.1", server.dicom_port, connect_s=20, tls=context))


@pytest.mark.parametrize("issued", GOOD.values(), ids=GOOD.keys())
def test_who_may_come_in(server: Any, folder: Path, issued: Issued) -> None:
    assert echo(server, own_context(folder, issued)) < 5


@pytest.mark.parametrize("issued", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_may_not(server: Any, folder: Path, issued: Issued, version: ssl.TLSVersion) -> None:
    context = own_context(folder, issued)
    context.minimum_version = context.maximum_version = version
    with pytest.raises(HilumError):
        echo(server, context)


def test_nobody_without_a_certificate(server: Any, folder: Path) -> None:
    with pytest.raises(HilumError):
        echo(server, client_context(folder / "ca.pem"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions(server: Any, folder: Path, version: ssl.TLSVersion) -> None:
    context = own_context(folder, FRIEND)
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = version
    with pytest.raises(Unavailable):
        echo(server, context)


def accepts(port: int, context: ssl.SSLContext) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        try:
            context.wrap_socket(peer, server_hostname="127.0.0.1").close()
        except OSError:
            return False
    return True


def test_the_suites_of_tls_1_2(server: Any, folder: Path) -> None:
    """Of all suites that OpenSSL knows, those with forward secrecy and authenticated encryption alone."""
    everything = own_context(folder, FRIEND)
    names = [found["name"] for found in everything.get_ciphers() if found["protocol"] != "TLSv1.3"]
    assert len(names) > 30
    taken = set()
    for name in names:
        context = own_context(folder, FRIEND)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{name}:@SECLEVEL=0")
        if accepts(server.dicom_port, context):
            taken.add(name)
    assert taken == {
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    }


@pytest.mark.parametrize(
    ("trusted", "revoked", "host", "works"),
    [
        ("ca", "revoked", "127.0.0.1", True),
        ("ca", None, "localhost", True),
        ("other", None, "127.0.0.1", False),
        ("ca", "server-revoked", "127.0.0.1", False),
        ("ca", "stale", "127.0.0.1", False),
        ("ca", None, "127.0.0.2", False),
    ],
)
def test_what_our_own_requests_ask_of_a_peer(
    server: Any, folder: Path, trusted: str, revoked: str | None, host: str, works: bool
) -> None:
    """127.0.0.2 is the same machine under a name that its certificate does not have."""
    lists = folder / f"{revoked}.pem" if revoked else None
    context = client_context(folder / f"{trusted}.pem", folder / "friend.pem", folder / "friend.key", lists)
    remote = Remote("127.0.0.1", server.dicom_port, tls=context)
    if host != "127.0.0.1":
        with socket.create_connection(("127.0.0.1", server.dicom_port), timeout=20) as peer:
            if works:
                context.wrap_socket(peer, server_hostname=host).close()
            else:
                with pytest.raises(ssl.SSLCertVerificationError):
                    context.wrap_socket(peer, server_hostname=host)
    elif works:
        assert client.echo(remote) < 5
    else:
        with pytest.raises(Unavailable):
            client.echo(remote)
