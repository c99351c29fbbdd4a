"""Peers of the settings."""

from __future__ import annotations

import pytest

from hilum.dimse.peers import Peer, parse_peers
from hilum.errors import UsageError


def test_options() -> None:
    found = parse_peers(
        ["WS 10.0.0.5:104", "CT1 10.0.0.7 check-address services=echo,store", "V6 [::1]:4242 tls syntaxes=1.2.3,1.2.4"]
    )
    assert found["WS"] == Peer("WS", "10.0.0.5", 104)
    assert found["CT1"] == Peer("CT1", "10.0.0.7", 0, ("echo", "store"), check_address=True)
    assert found["V6"] == Peer("V6", "::1", 4242, syntaxes=("1.2.3", "1.2.4"), tls=True)


@pytest.mark.parametrize(
    "line",
    [
        "WS",
        "WS host:port",
        "A" * 17 + " h:1",
        "WS h:99999",
        "WS h:²",
        "WS h:" + "1" * 5000,
        "WS h:1 colour",
        "WS h:1 services=print",
        "A\\B h:1",
    ],
)
def test_mistakes_are_named(line: str) -> None:
    with pytest.raises(UsageError, match=r"dimse\.peers, entry 2"):
        parse_peers(["OK h:1", line])


def test_twice() -> None:
    with pytest.raises(UsageError, match="twice"):
        parse_peers(["WS h:1", "WS h:2"])
