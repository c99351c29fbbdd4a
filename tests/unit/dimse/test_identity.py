"""User identity out of A-ASSOCIATE-RQ PDUs, also of damaged ones."""

from __future__ import annotations

import pytest
from pynetdicom.pdu import A_ASSOCIATE_RQ

from hilum.dimse.identity import Users, identity_in, identity_of
from hilum.dimse.proposal import Proposal, association_request
from hilum.errors import UsageError

PROPOSALS = [Proposal("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))]


def request(user: str = "", passcode: str = "") -> bytes:
    return association_request("A", "B", PROPOSALS, 16384, identity_of(user, passcode))


def test_what_pynetdicom_writes_is_read() -> None:
    assert identity_in(request()) is None
    found = identity_in(request("anna", "secret"))
    assert found is not None
    assert (found.kind, found.primary, found.secondary) == (2, b"anna", b"secret")
    found = identity_in(request("anna"))
    assert found is not None
    assert (found.kind, found.primary, found.secondary) == (1, b"anna", b"")
    decoded = A_ASSOCIATE_RQ()
    decoded.decode(request("anna", "secret"))
    assert "secret" not in repr(found)


def test_every_cut_is_no_crash_and_never_a_user() -> None:
    whole = request("anna", "secret")
    users = Users(["anna:secret"], required=True)
    assert users.refuses(identity_in(whole), "A") == ""
    for length in range(len(whole)):
        assert users.refuses(identity_in(whole[:length]), "A")


def test_users() -> None:
    assert Users().refuses(None, "A") == ""
    assert Users(["anna:x"]).refuses(None, "A") == ""
    assert "not one of dimse.users" in Users(["anna:x"]).refuses(identity_in(request("anna", "y")), "A")
    for lines in ([""], [":x"], ["a:x", "a:y"]):
        with pytest.raises(UsageError, match=r"dimse\.users, entry"):
            Users(lines)
    with pytest.raises(UsageError, match="there are no"):
        Users([], required=True)
