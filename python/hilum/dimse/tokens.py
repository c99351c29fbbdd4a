"""JSON Web Tokens as user identity (PS3.7 D.3.3.7, type 5): signed by somebody whose public keys we have.

Only asymmetric signatures are taken, and only such as fit the kind of the key: what a token says of its own algorithm
never chooses how it is verified.
"""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hilum.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_Key: TypeAlias = "tuple[Any, tuple[str, ...]]"
"""A public key and the algorithms that it is for."""

__all__ = ["Tokens"]

_ALGORITHMS: Final = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "OKP": ("EdDSA",),
}
_LEEWAY_S: Final = 30
"""By so much clocks may differ."""
_LONGEST: Final = 16 << 10


class Tokens:
    """Verifies tokens.

    Parameters
    ----------
    keys : Path
        Public keys as a JSON Web Key Set (RFC 7517), or one in PEM form; read again when the file changes.
    issuer, audience : str
        What the claims ``iss`` and ``aud`` must be.
    title_claim : str
        Claim that must be, or hold, the calling AE title; empty: any title.

    Raises
    ------
    UsageError
        There is no usable key, issuer and audience are not both given, or PyJWT is not installed.
    """

    def __init__(self, keys: Path, issuer: str, audience: str, title_claim: str = "") -> None:
        if not issuer or not audience:
            raise UsageError("dimse.jwt_keys needs dimse.jwt_issuer and dimse.jwt_audience")
        self._file = keys
        self._issuer, self._audience, self._title_claim = issuer, audience, title_claim
        self._lock = threading.Lock()
        self._read_at = -1
        self._keys: dict[str, _Key] = {}
        """By key identifier; that of a PEM file is empty."""
        self._load()

    def refuses(self, token: bytes, title: str) -> str:
        """Why a token of an association from an AE title is not accepted; empty: it is. Nothing of it is repeated."""
        import jwt

        if len(token) > _LONGEST:
            return f"the JSON Web Token is longer than {_LONGEST} bytes"
        try:
            key, algorithms = self._key_of(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud"]},
            )
        except KeyError:
            return "the key of the JSON Web Token is not one of dimse.jwt_keys"
        except (jwt.InvalidTokenError, jwt.InvalidKeyError, ValueError, TypeError) as error:
            return f"the JSON Web Token is not valid ({type(error).__name__})"
        named = claims.get(self._title_claim) if self._title_claim else title
        if title not in (named if isinstance(named, list) else [named]):
            return "the JSON Web Token does not name the calling AE title"
        return ""

    def _key_of(self, identifier: object) -> _Key:
        with self._lock:
            self._load()
            if identifier is None and len(self._keys) == 1:
                return next(iter(self._keys.values()))
            if not isinstance(identifier, str):
                raise KeyError
            if list(self._keys) == [""]:
                return self._keys[""]
            return self._keys[identifier]

    def _load(self) -> None:
        """Read the file if it is another one than before; one that cannot be read leaves the keys as they are."""
        try:
            changed = self._file.stat().st_mtime_ns
            if changed == self._read_at:
                return
            self._keys = _keys_in(self._file.read_bytes())
            self._read_at = changed
        except (OSError, ValueError) as error:
            if not self._keys:
                raise UsageError(
                    f"{self._file}: no JSON Web Key Set and no public key in PEM form ({type(error).__name__})"
                ) from error


def _keys_in(data: bytes) -> dict[str, _Key]:
    """Public keys by identifier; ValueError when there are none, or a secret one among them."""
    try:
        import jwt
    except ImportError:
        raise UsageError("dimse.jwt_keys needs PyJWT: pip install 'hilum[jwt]'") from None
    try:
        return _set_in(data) if data.lstrip()[:1] == b"{" else {"": _pem_in(data)}
    except (KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ValueError("no public keys for signatures") from error


def _set_in(data: bytes) -> dict[str, _Key]:
    from jwt import PyJWK

    keys = {}
    for entry in json.loads(data)["keys"]:
        if entry.get("use", "sig") == "sig" and entry.get("kty") != "oct" and "d" not in entry:
            algorithms = _algorithms(entry)
            keys[str(entry.get("kid", ""))] = (PyJWK(entry).key, algorithms)
    if not keys:
        raise ValueError("no public key for signatures")
    return keys


def _pem_in(data: bytes) -> _Key:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from jwt import InvalidKeyError
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    key = load_pem_public_key(data)
    for kind in (RSAAlgorithm, ECAlgorithm, OKPAlgorithm):
        with contextlib.suppress(TypeError, ValueError, AttributeError, InvalidKeyError):
            return key, _algorithms(json.loads(kind.to_jwk(key)))  # type: ignore[arg-type]
    raise ValueError("a key of another kind")


def _algorithms(entry: dict[str, Any]) -> tuple[str, ...]:
    """Algorithms that a key is for: the one that it names, else those of its kind."""
    kind = str(entry.get("crv" if entry.get("kty") == "EC" else "kty"))
    allowed = _ALGORITHMS[kind]
    named = entry.get("alg")
    if named is not None and named not in allowed:
        raise ValueError("the algorithm of a key is not one of its kind")
    return (named,) if named else allowed
