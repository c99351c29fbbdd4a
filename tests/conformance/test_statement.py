"""The conformance statement says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.codecs.registry import decoders
from hilum.dicomweb.routing import ROUTES, Endpoint

STATEMENT = (Path(__file__).parent.parent.parent / "docs" / "conformance-statement.md").read_text()


@pytest.mark.parametrize("endpoint", ROUTES, ids=lambda e: e.template)
def test_every_route_is_in_the_statement(endpoint: Endpoint) -> None:
    assert f"| `{endpoint.template}` | {', '.join(endpoint.methods)} |" in STATEMENT


def test_every_decodable_syntax_is_in_the_statement() -> None:
    table = STATEMENT.split("## 4 ", 1)[1].split("## 5 ", 1)[0]
    for decoder in decoders():
        assert f"| {decoder.transfer_syntax_name} | {decoder.transfer_syntax_uid} |" in table


@pytest.mark.parametrize("status", ["0000", "A700", "A900", "B000", "C000"])
def test_store_statuses_are_those_of_the_code(status: str) -> None:
    source = (Path(__file__).parent.parent.parent / "python" / "hilum" / "dimse" / "storage.py").read_text()
    assert f"0x{status}" in source
    assert f"| {status} " in STATEMENT
