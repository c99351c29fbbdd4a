"""JSON Web Tokens at the DICOM port, told by DCMTK, pynetdicom and hilum (PS3.7 D.3.3.7)."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from objects import make_object
from programs import program
from pynetdicom import AE, build_context
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from hilum.dimse import client
from hilum.dimse.client import Remote
from hilum.errors import Denied

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("live_server")
VERIFICATION = "1.2.840.10008.1.1"
KEY, STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def token(key: Any = KEY, title: str = "PORTAL", **more: Any) -> str:
    claims = {"iss": "login", "aud": "pacs", "exp": int(time.time()) + 600, "sub": "anna", "aet": title, **more}
    return jwt.encode(claims, key, "ES256")


@pytest.fixture(scope="module")
def server(serve_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokens")
    keys = folder / "keys.pem"
    keys.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return serve_module(
        folder / "archive",
        "--workers",
        "1",
        HILUM__DIMSE__JWT_KEYS=str(keys),
        HILUM__DIMSE__JWT_ISSUER="login",
        HILUM__DIMSE__JWT_AUDIENCE="pacs",
        HILUM__DIMSE__JWT_TITLE_CLAIM="aet",
        HILUM__DIMSE__REQUIRE_USER="true",
    )


def why(server: Any, peer: str) -> str:
    for _ in range(100):
        found = httpx.get(f"{server.url}/api/dicom/refusals", params={"peer": peer}).json()
        if found:
            return str(found[0]["reason"])
        time.sleep(0.05)
    raise AssertionError("nothing was told")


@pytest.mark.parametrize("confirmed", [True, False])
def test_pynetdicom(server: Any, confirmed: bool) -> None:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field = 5, token().encode()
    item.positive_response_requested = confirmed
    ae = AE(ae_title="PORTAL")
    assoc = ae.associate("127.0.0.1", server.dicom_port, [build_context(VERIFICATION)], ext_neg=[item])
    assert assoc.is_established
    answer: Any = assoc.acceptor.user_identity
    assert (answer is not None) is confirmed
    if confirmed:
        assert answer.server_response == item.primary_field  # PS3.7 Table D.3-15
    assert assoc.send_c_echo().Status == 0
    assoc.release()


@pytest.mark.parametrize(
    ("title", "made", "reason"),
    [
        ("T1", token(title="T2"), "does not name the calling AE title"),
        ("T3", token(STRANGER, "T3"), "InvalidSignatureError"),
        ("T4", token(title="T4", exp=1), "ExpiredSignatureError"),
        ("T5", token(title="T5", aud="other"), "InvalidAudienceError"),
        ("T6", "a.b.c", "DecodeError"),
    ],
)
def test_refused(server: Any, title: str, made: str, reason: str) -> None:
    with pytest.raises(Denied, match="rejected"):
        client.echo(Remote("127.0.0.1", server.dicom_port, calling=title, token=made))
    told = why(server, title)
    assert reason in told
    assert "anna" not in told


def test_none(server: Any) -> None:
    with pytest.raises(Denied):
        client.echo(Remote("127.0.0.1", server.dicom_port, calling="T7"))
    assert "no user identity" in why(server, "T7")


def test_dcmtk(server: Any, tmp_path: Path) -> None:
    path, proof = tmp_path / "one.dcm", tmp_path / "token"
    path.write_bytes(make_object())
    proof.write_text(token())
    where = ["127.0.0.1", str(server.dicom_port)]
    command = [program("storescu"), "-aet", "PORTAL", "--jwt", str(proof), "-rsp", *where, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    command[command.index("PORTAL")] = "OTHER"
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0


def test_hilum_on_the_command_line(server: Any, tmp_path: Path) -> None:
    proof = tmp_path / "token"
    proof.write_text(token() + "\n")
    command = [sys.executable, "-c", "from hilum.cli.main import main; main()", "echo", "127.0.0.1"]
    command += [str(server.dicom_port), "-aet", "PORTAL", "--jwt", str(proof)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*command, "--user", "anna"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
