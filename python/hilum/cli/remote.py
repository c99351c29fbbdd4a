"""The options of a connection to a DICOM node, with the spelling of DCMTK; the same for all commands that have one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from hilum.cli.common import with_options
from hilum.errors import UsageError

__all__ = ["asks_peer", "first_line"]

Host: TypeAlias = Annotated[str, typer.Argument(help="Host name or address of the peer.", metavar="PEER")]
Port: TypeAlias = Annotated[int, typer.Argument(help="TCP port of the peer.", min=1, max=65535, metavar="PORT")]
Calling: TypeAlias = Annotated[str, typer.Option("-aet", "--aet", "--aetitle", help="Our AE title.")]
Called: TypeAlias = Annotated[str, typer.Option("-aec", "--aec", "--call", help="AE title of the peer.")]
ConnectTimeout: TypeAlias = Annotated[
    float, typer.Option("-to", "--timeout", help="Seconds for the connection.", min=1)
]
DimseTimeout: TypeAlias = Annotated[
    float, typer.Option("-td", "--dimse-timeout", help="Seconds for each answer.", min=1)
]
Tls: TypeAlias = Annotated[bool, typer.Option("--tls", help="Encrypt (TLS 1.2 or 1.3).")]
Trusted: TypeAlias = Annotated[
    Path | None, typer.Option("--tls-ca", help="PEM file of the authorities that the peer's certificate may be of.")
]
Certificate: TypeAlias = Annotated[Path | None, typer.Option("--tls-cert", help="PEM file with our certificate.")]
PrivateKey: TypeAlias = Annotated[Path | None, typer.Option("--tls-key", help="PEM file with its key.")]
Revoked: TypeAlias = Annotated[
    Path | None, typer.Option("--tls-crl", help="PEM file with the revocation lists of these authorities.")
]
User: TypeAlias = Annotated[str, typer.Option("--user", help="User name for the peer (user identity negotiation).")]
PasscodeFile: TypeAlias = Annotated[
    Path | None, typer.Option("--passcode-file", help="File whose first line is the user's passcode.")
]
TokenFile: TypeAlias = Annotated[
    Path | None, typer.Option("--jwt", help="File with a JSON Web Token for the peer, in the place of a user.")
]
AnyName: TypeAlias = Annotated[
    bool, typer.Option("--tls-any-name", help="Do not compare the host name with the peer's certificate.")
]


def asks_peer(answer_s: float = 60) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function whose first argument is the `Remote` that its options name.

    Parameters
    ----------
    answer_s : float
        Default of ``--dimse-timeout``.
    """
    return with_options(_remote, first=("host", "port"), dimse_timeout=answer_s)


def _remote(
    host: Host,
    port: Port,
    aet: Calling = "HILUM",
    aec: Called = "ANY-SCP",
    timeout: ConnectTimeout = 15,
    dimse_timeout: DimseTimeout = 60,
    tls: Tls = False,
    tls_ca: Trusted = None,
    tls_cert: Certificate = None,
    tls_key: PrivateKey = None,
    tls_crl: Revoked = None,
    tls_any_name: AnyName = False,
    user: User = "",
    passcode_file: PasscodeFile = None,
    jwt: TokenFile = None,
) -> Any:
    from hilum.dimse.client import Remote
    from hilum.dimse.tls import client_context

    if not tls and (tls_ca or tls_cert or tls_key or tls_crl or tls_any_name):
        raise UsageError("options of TLS are given, but not --tls")
    if tls_crl is not None and tls_ca is None:
        raise UsageError("--tls-crl needs --tls-ca")
    context = client_context(tls_ca, tls_cert, tls_key, tls_crl, check_name=not tls_any_name) if tls else None
    if passcode_file is not None and not user:
        raise UsageError("--passcode-file needs --user")
    if jwt is not None and user:
        raise UsageError("--jwt and --user exclude each other")
    passcode, token = first_line(passcode_file), first_line(jwt)
    return Remote(host, port, aec, aet, timeout, dimse_timeout, context, user=user, passcode=passcode, token=token)


def first_line(path: Path | None) -> str:
    """Give the first line of a file that holds a secret; empty without a file."""
    if path is None:
        return ""
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a passcode or token ({type(error).__name__})") from error
