"""Who asks: user identity (PS3.7 D.3.3.7), read from the A-ASSOCIATE-RQ before anything is started for it."""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hilum.dimse.tokens import Tokens

__all__ = ["JWT", "Identity", "Users", "identity_in", "identity_of"]

_USER_INFORMATION: Final = 0x50
_USER_IDENTITY: Final = 0x58
_ITEMS_AT: Final = 74
USERNAME: Final = 1
USERNAME_AND_PASSCODE: Final = 2
JWT: Final = 5
_KINDS: Final = {3: "a Kerberos ticket", 4: "a SAML assertion", JWT: "a JSON Web Token"}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a peer says of its user."""

    kind: int
    """User-Identity-Type: 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JWT."""
    primary: bytes = field(repr=False)
    secondary: bytes = field(repr=False)


def identity_of(user: str = "", passcode: str = "", token: str = "") -> Identity | None:
    """What to tell a peer: a token, a user with or without passcode, or nothing."""
    if token:
        return Identity(JWT, token.encode(), b"")
    if not user:
        return None
    return Identity(USERNAME_AND_PASSCODE if passcode else USERNAME, user.encode(), passcode.encode())


def identity_in(request: bytes) -> Identity | None:
    """Find the user identity in an A-ASSOCIATE-RQ (PS3.8 9.3.2, PS3.7 Table D.3-14); None when there is none.

    A malformed item is an identity of kind 0, which nobody has.
    """
    for kind, data in _items(request[_ITEMS_AT:]):
        if kind != _USER_INFORMATION:
            continue
        for sub, value in _items(data):
            if sub == _USER_IDENTITY:
                return _identity(value)
    return None


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _identity(value: bytes) -> Identity:
    """Type, positive response requested, length and primary field, length and secondary field."""
    if len(value) < 6:
        return Identity(0, b"", b"")
    (length,) = struct.unpack_from(">H", value, 2)
    primary, rest = value[4 : 4 + length], value[4 + length :]
    if len(primary) != length or len(rest) < 2:
        return Identity(0, b"", b"")
    return Identity(value[0], primary, rest[2 : 2 + struct.unpack_from(">H", rest)[0]])


class Users:
    """Users of ``[dimse] users``.

    Parameters
    ----------
    lines : sequence of str
        ``"NAME:PASSCODE"``, or ``"NAME"`` for one who needs none.
    required : bool
        Every association must tell a user.
    tokens : Tokens, optional
        Verifies JSON Web Tokens.

    Raises
    ------
    UsageError
        An entry has no name, a name is there twice, or users are required and there are none.
    """

    def __init__(self, lines: Sequence[str] = (), *, required: bool = False, tokens: Tokens | None = None) -> None:
        self._passcodes: dict[bytes, bytes] = {}
        for number, line in enumerate(lines, 1):
            name, _, passcode = line.partition(":")
            if not name.strip() or name.strip().encode() in self._passcodes:
                raise UsageError(f"dimse.users, entry {number}: write it as 'NAME:PASSCODE' or 'NAME', each name once")
            self._passcodes[name.strip().encode()] = passcode.encode()
        self._required = required
        self._tokens = tokens
        if required and not self:
            raise UsageError("dimse.require_user is set, but there are no dimse.users and no dimse.jwt_keys")

    def __bool__(self) -> bool:
        return bool(self._passcodes) or self._tokens is not None

    def refuses(self, identity: Identity | None, title: str) -> str:
        """Why an association of an AE title is not accepted; empty: it is.

        Without users and keys of tokens, what peers say of their users is ignored.
        """
        if not self:
            return ""
        if identity is None:
            return "no user identity was told, and dimse.require_user is set" if self._required else ""
        if identity.kind == JWT and self._tokens is not None:
            return self._tokens.refuses(identity.primary, title)
        if identity.kind not in (USERNAME, USERNAME_AND_PASSCODE):
            return f"{_KINDS.get(identity.kind, 'a user identity of this kind')} cannot be verified here"
        known = self._passcodes.get(identity.primary)
        given = identity.secondary if identity.kind == USERNAME_AND_PASSCODE else b""
        if not hmac.compare_digest(known or b"", given) or known is None:
            return "the user or its passcode is not one of dimse.users"
        return ""
