"""The options of a connection to a DICOM node, with the spelling of DCMTK; the same for all commands that have one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from hilum.errors import UsageError

__all__ = ["asks_peer"]

Host: TypeAlias = Annotated[str, typer.Argument(help="Host name or address of the peer.", metavar="PEER")]
Port: TypeAlias = Annotated[int, typer.Argument(help="TCP port of the peer.", min=1, max=65535)]
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
User: TypeAlias = Annotated[str, typer.Option("--user", help="User name for the peer (user identity negotiation).")]
PasscodeFile: TypeAlias = Annotated[
    Path | None, typer.Option("--passcode-file", help="File whose first line is the user's passcode.")
]
AnyName: TypeAlias = Annotated[
    bool, typer.Option("--tls-any-name", help="Do not compare the host name with the peer's certificate.")
]

_FIRST: Final = ("host", "port")


def asks_peer(answer_s: float = 60) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function whose first argument is the `Remote` that its options name.

    Parameters
    ----------
    answer_s : float
        Default of ``--dimse-timeout``.
    """

    def decorate(work: Callable[..., None]) -> Callable[..., None]:
        shared = dict(inspect.signature(_remote, eval_str=True).parameters)
        shared["dimse_timeout"] = shared["dimse_timeout"].replace(default=answer_s)

        @functools.wraps(work)
        def command(**given: Any) -> None:
            connection = {name: given.pop(name) for name in shared}
            work(_remote(**connection), **given)

        own = list(inspect.signature(work, eval_str=True).parameters.values())[1:]
        parameters = [shared[name] for name in _FIRST] + own
        parameters += [parameter for name, parameter in shared.items() if name not in _FIRST]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


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
    tls_any_name: AnyName = False,
    user: User = "",
    passcode_file: PasscodeFile = None,
) -> Any:
    from hilum.dimse.client import Remote
    from hilum.dimse.tls import client_context

    context = client_context(tls_ca, tls_cert, tls_key, check_name=not tls_any_name) if tls else None
    if not tls and (tls_ca or tls_cert or tls_key or tls_any_name):
        raise UsageError("options of TLS are given, but not --tls")
    if passcode_file is not None and not user:
        raise UsageError("--passcode-file needs --user")
    return Remote(host, port, aec, aet, timeout, dimse_timeout, context, user=user, passcode=_first_line(passcode_file))


def _first_line(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a passcode ({type(error).__name__})") from error
