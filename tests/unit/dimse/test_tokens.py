"""JSON Web Tokens as user identity: what is taken, and sixty kinds of tokens that are not (P56)."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hilum.dimse.identity import JWT, Identity, Users
from hilum.dimse.tokens import Tokens
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ISSUER, AUDIENCE, TITLE = "https://login.example", "hilum", "PORTAL"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem_of(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def entry(key: Any, identifier: str, **more: str) -> dict[str, Any]:
    kinds = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    algorithm = next(found for kind, found in kinds.items() if isinstance(key, kind))
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": identifier, **more}


def key_set(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"keys": entries}).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(entry(RSA_KEY, "r1"), entry(EC_KEY, "e1", use="sig"), entry(ED_KEY, "o1", alg="EdDSA")))
    return path


@pytest.fixture
def tokens(file: Path) -> Tokens:
    return Tokens(file, ISSUER, AUDIENCE, "ae")


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "iat": now, "sub": "anna", "ae": TITLE, **more}
    return {name: value for name, value in found.items() if value is not None}


def token(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "r1", **more: Any) -> bytes:
    headers = {"kid": kid} if kid is not None else {}
    return jwt.encode(claims(**more), key, algorithm, headers=headers).encode()


def raw(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> bytes:
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def signed_with(secret: bytes, algorithm: str) -> bytes:
    """Sign with HMAC as somebody does who takes our public key for a secret; PyJWT itself would refuse to."""
    import hashlib
    import hmac

    head = raw({"alg": algorithm, "kid": "r1", "typ": "JWT"}, claims()).rpartition(b".")[0]
    digest = hmac.new(secret, head, getattr(hashlib, f"sha{algorithm[2:]}")).digest()
    return head + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (RSA_KEY, "RS256", "r1"),
        (RSA_KEY, "RS512", "r1"),
        (RSA_KEY, "PS256", "r1"),
        (EC_KEY, "ES256", "e1"),
        (ED_KEY, "EdDSA", "o1"),
    ],
)
def test_what_is_taken(tokens: Tokens, key: Any, algorithm: str, kid: str) -> None:
    assert tokens.refuses(token(key, algorithm, kid), TITLE) == ""
    assert tokens.refuses(token(key, algorithm, kid, aud=["other", AUDIENCE]), TITLE) == ""
    assert tokens.refuses(token(key, algorithm, kid, ae=["CT1", TITLE]), TITLE) == ""


NOW = time.time()
BAD: dict[str, Callable[[], bytes]] = {
    "no signature": lambda: raw({"alg": "none"}, claims()),
    "none in capitals": lambda: raw({"alg": "NONE", "kid": "r1"}, claims()),
    "none with a key": lambda: raw({"alg": "none", "kid": "r1"}, claims()),
    "no algorithm": lambda: raw({"kid": "r1"}, claims(), b"x"),
    "hmac with the public key": lambda: signed_with(pem_of(RSA_KEY), "HS256"),
    "hmac 384": lambda: signed_with(pem_of(RSA_KEY), "HS384"),
    "hmac 512": lambda: signed_with(pem_of(RSA_KEY), "HS512"),
    "hmac with the set": lambda: signed_with(key_set(entry(RSA_KEY, "r1")), "HS256"),
    "hmac with nothing": lambda: signed_with(b"", "HS256"),
    "a key of ours for another kind": lambda: token(RSA_KEY, "RS256", "e1"),
    "curve key as RSA": lambda: token(EC_KEY, "ES256", "r1"),
    "Edwards key under the RSA name": lambda: token(ED_KEY, "EdDSA", "r1"),
    "another key": lambda: token(OTHER_RSA),
    "another key, its own identifier": lambda: token(OTHER_RSA, kid="x1"),
    "unknown identifier": lambda: token(kid="r2"),
    "no identifier": lambda: token(kid=None),
    "identifier is a path": lambda: token(kid="../../etc/passwd"),
    "identifier is a query": lambda: token(kid="' OR 1=1 --"),
    "identifier is empty": lambda: token(kid=""),
    "identifier is a number": lambda: raw({"alg": "RS256", "kid": 1}, claims(), b"x"),
    "identifier is a list": lambda: raw({"alg": "RS256", "kid": ["r1"]}, claims(), b"x"),
    "its own key": lambda: jwt.encode(
        claims(), OTHER_RSA, "RS256", headers={"kid": "x", "jwk": entry(OTHER_RSA, "x")}
    ).encode(),
    "address of keys": lambda: jwt.encode(
        claims(), OTHER_RSA, "RS256", headers={"kid": "x", "jku": "https://evil.example/keys"}
    ).encode(),
    "address of a certificate": lambda: jwt.encode(
        claims(), OTHER_RSA, "RS256", headers={"kid": "x", "x5u": "https://evil.example/c"}
    ).encode(),
    "critical header": lambda: jwt.encode(
        claims(), RSA_KEY, "RS256", headers={"kid": "r1", "crit": ["exp2"], "exp2": 1}
    ).encode(),
    "expired": lambda: token(exp=int(NOW) - 3600),
    "expired a minute ago": lambda: token(exp=int(NOW) - 60),
    "no end": lambda: token(exp=None),
    "end is text": lambda: token(exp="soon"),
    "not yet": lambda: token(nbf=int(NOW) + 3600),
    "begin is text": lambda: token(nbf="later"),
    "issued tomorrow": lambda: token(iat=int(NOW) + 86400),
    "other issuer": lambda: token(iss="https://evil.example"),
    "no issuer": lambda: token(iss=None),
    "issuer with a slash": lambda: token(iss=ISSUER + "/"),
    "issuer is a list": lambda: raw({"alg": "RS256", "kid": "r1"}, claims(iss=[ISSUER]), b"x"),
    "other audience": lambda: token(aud="other"),
    "no audience": lambda: token(aud=None),
    "audience is a prefix": lambda: token(aud="hil"),
    "audience is longer": lambda: token(aud="hilum2"),
    "audiences without ours": lambda: token(aud=["a", "b"]),
    "audience in capitals": lambda: token(aud="HILUM"),
    "other title": lambda: token(ae="CT1"),
    "titles without it": lambda: token(ae=["CT1", "CT2"]),
    "no title": lambda: token(ae=None),
    "title is a prefix": lambda: token(ae="PORT"),
    "title in small letters": lambda: token(ae="portal"),
    "title is true": lambda: token(ae=True),
    "title in an object": lambda: token(ae={"PORTAL": 1}),
    "changed payload": lambda: token()[:60] + b"A" + token()[61:],
    "cut signature": lambda: token()[:-4],
    "no signature part": lambda: token().rpartition(b".")[0],
    "empty signature": lambda: token().rpartition(b".")[0] + b".",
    "signature of another token": lambda: token(sub="eve").rpartition(b".")[0] + b"." + token().rpartition(b".")[2],
    "five parts": lambda: token() + b".a.b",
    "payload is a list": lambda: raw({"alg": "RS256", "kid": "r1"}, [], b"x"),  # type: ignore[arg-type]
    "header is a list": lambda: raw([], claims(), b"x"),  # type: ignore[arg-type]
    "not base64": lambda: b"$$$.$$$.$$$",
    "nothing": lambda: b"",
    "zeros": lambda: bytes(200),
    "dots": lambda: b"." * 100,
    "bytes of no text": lambda: b"\xff\xfe." * 3,
    "saml": lambda: b"<saml:Assertion/>",
    "too long": lambda: token(note="x" * 20_000),
    "deep": lambda: raw({"alg": "RS256", "kid": "r1"}, {}, b"") + b"[" * 5000,
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_what_is_not_taken(tokens: Tokens, make: Callable[[], bytes]) -> None:
    made = make()
    why = tokens.refuses(made, TITLE)
    assert "JSON Web Token" in why
    assert "anna" not in why
    assert TITLE not in why


def test_sixty_kinds() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")])
@pytest.mark.parametrize("kid", [None, "any"])
def test_one_key_in_pem_form(tmp_path: Path, key: Any, algorithm: str, kid: str | None) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem_of(key))
    tokens = Tokens(path, ISSUER, AUDIENCE)
    assert tokens.refuses(token(key, algorithm, kid, ae=None), "ANY") == ""
    assert tokens.refuses(signed_with(path.read_bytes(), "HS256"), "ANY")
    assert tokens.refuses(token(OTHER_RSA, "RS256", kid), "ANY")


def test_keys_that_change_are_read_again(file: Path) -> None:
    tokens = Tokens(file, ISSUER, AUDIENCE)
    assert tokens.refuses(token(OTHER_RSA, kid="new"), TITLE)
    file.write_bytes(key_set(entry(OTHER_RSA, "new")))
    assert tokens.refuses(token(OTHER_RSA, kid="new"), TITLE) == ""
    assert tokens.refuses(token(), TITLE)
    file.write_bytes(b"half a fi")
    assert tokens.refuses(token(OTHER_RSA, kid="new"), TITLE) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}',
        key_set(entry(RSA_KEY, "r1", alg="HS256")),
        key_set(entry(RSA_KEY, "r1", use="enc")),
        RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
)
def test_files_that_are_of_no_use(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="no JSON Web Key Set"):
        Tokens(path, ISSUER, AUDIENCE)


def test_settings_that_do_not_fit(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="jwt_issuer"):
        Tokens(file, "", AUDIENCE)
    with pytest.raises(UsageError, match="jwt_audience"):
        Tokens(file, ISSUER, "")
    with pytest.raises(UsageError, match="no JSON Web Key Set"):
        Tokens(tmp_path / "nowhere", ISSUER, AUDIENCE)


def test_tokens_are_users(tokens: Tokens) -> None:
    users = Users(["kiosk"], required=True, tokens=tokens)
    assert users.refuses(Identity(JWT, token(), b""), TITLE) == ""
    assert "does not name" in users.refuses(Identity(JWT, token(), b""), "OTHER")
    assert users.refuses(Identity(1, b"kiosk", b""), "OTHER") == ""
    assert users.refuses(None, TITLE)
    assert "SAML" in users.refuses(Identity(4, token(), b""), TITLE)
    assert bool(Users(tokens=tokens))
