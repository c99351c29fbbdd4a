"""TLS for the DICOM port and our requests (PS3.15 B.9 to B.12, BCP 195: TLS 1.2 or 1.3, AEAD suites only)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from hilum.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["client_context", "server_context", "title_in"]

_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!PSK"


def server_context(certificate: Path, key: Path, trusted: Path | None, revoked: Path | None = None) -> ssl.SSLContext:
    """Context for the DICOM port.

    Parameters
    ----------
    certificate, key : Path
        PEM files.
    trusted : Path, optional
        PEM file of the authorities (or certificates) of peers: each must then show a certificate of theirs.
    revoked : Path, optional
        PEM file with the current revocation list of each of these authorities.

    Raises
    ------
    UsageError
        A file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load(context, certificate, key)
    if trusted is not None:
        _trust(context, trusted, revoked)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    trusted: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    revoked: Path | None = None,
    *,
    check_name: bool = True,
) -> ssl.SSLContext:
    """Context for associations that we request.

    Parameters
    ----------
    trusted : Path, optional
        PEM file of authorities; default: those of the system.
    certificate, key : Path, optional
        Ours, for peers that ask for one.
    revoked : Path, optional
        PEM file with the current revocation list of each authority in `trusted`.
    check_name : bool
        The peer's certificate must hold its host name; False where peers are known by their authority alone.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_name
    if trusted is None:
        context.load_default_certs()
    else:
        _trust(context, trusted, revoked)
    if certificate is not None:
        _load(context, certificate, key or certificate)
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise UsageError(f"{certificate} and {key}: not a certificate and its unencrypted key in PEM form") from error


def _trust(context: ssl.SSLContext, trusted: Path, revoked: Path | None) -> None:
    try:
        context.load_verify_locations(trusted)
    except (OSError, ValueError) as error:
        raise UsageError(f"{trusted}: no certificates in PEM form") from error
    if revoked is None:
        return
    try:
        context.load_verify_locations(revoked)
    except (OSError, ValueError) as error:
        raise UsageError(f"{revoked}: no revocation lists in PEM form") from error
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def title_in(certificate: dict[str, object] | None, title: str) -> bool:
    """Whether a peer's verified certificate names this AE title, as common name or as a DNS name.

    Parameters
    ----------
    certificate : dict or None
        From ``SSLSocket.getpeercert()``.
    title : str
    """
    if not certificate:
        return False
    names: list[object] = []
    subject = certificate.get("subject", ())
    names += [value for part in subject for key, value in part if key == "commonName"]  # type: ignore[attr-defined]
    alternatives = certificate.get("subjectAltName", ())
    names += [value for kind, value in alternatives if kind == "DNS"]  # type: ignore[attr-defined]
    return any(str(name).casefold() == title.casefold() for name in names)
