"""The DIMSE part of the conformance statement is made of the tables of the code, and the server does what it says."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom import AE, build_context

import hilum
from hilum.archive.incoming import Incoming
from hilum.config import DimseSettings
from hilum.dicom.status import STORE_FAILURE
from hilum.dimse.commitment import CommitmentService
from hilum.dimse.models import COMMITMENT_CLASS, MODELS
from hilum.dimse.query import FindService
from hilum.dimse.retrieve import GetService, MoveService
from hilum.dimse.server import TRANSFER_SYNTAXES, VERIFICATION, DimseServer
from hilum.dimse.services import Services
from hilum.dimse.statement import BEGIN, END, dimse_tables
from hilum.dimse.storage import STORE_STATUS, StoreHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

STATEMENT = (Path(__file__).parent.parent.parent / "docs" / "conformance-statement.md").read_text()


def test_the_tables_are_those_of_the_code() -> None:
    written = BEGIN + STATEMENT.split(BEGIN, 1)[1].split(END, 1)[0] + END + "\n"
    assert written == dimse_tables(), (
        "write docs/conformance-statement.md again with hilum.dimse.statement.dimse_tables"
    )


def test_every_status_of_an_error_is_in_the_table_of_c_store() -> None:
    said = set(STORE_STATUS)
    for error, status in STORE_FAILURE.items():
        assert status in said or error.__name__ in ("Conflict", "NotFound")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    root = tmp_path_factory.mktemp("statement") / "archive"
    with hilum.open(root) as archive:
        services: dict[str, Any] = {
            "find": FindService(archive, "HILUM"),
            "get": GetService(archive),
            "move": MoveService(archive, "HILUM", {}),
            "commit": CommitmentService(archive, "HILUM", {}),
        }
        handler = StoreHandler(archive.store, archive.store_file)
        incoming = Incoming(root / "incoming")
        server = DimseServer(DimseSettings(), listener, handler, incoming, services=Services(services))
        server.start()
        yield server.port
        server.stop(1)


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("uid", [VERIFICATION, *MODELS, COMMITMENT_CLASS])
def test_every_class_is_accepted_in_every_syntax_that_is_named(port: int, uid: str, syntax: str) -> None:
    assoc = AE().associate("127.0.0.1", port, [build_context(uid, syntax)])
    assert [str(c.transfer_syntax[0]) for c in assoc.accepted_contexts] == [syntax]
    assoc.release()


def test_a_syntax_that_is_not_named_is_not_accepted(port: int) -> None:
    contexts = [build_context(uid, "1.2.840.10008.1.2.4.50") for uid in MODELS]
    assoc = AE().associate("127.0.0.1", port, [*contexts, build_context(VERIFICATION)])
    assert [str(c.abstract_syntax) for c in assoc.accepted_contexts] == [VERIFICATION]
    assert {c.result for c in assoc.rejected_contexts} == {4}
    assoc.release()


def test_what_is_not_supported_is_not_accepted(port: int) -> None:
    worklist, procedure_step = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
    assoc = AE().associate("127.0.0.1", port, [build_context(worklist), build_context(procedure_step)])
    assert assoc.is_rejected or assoc.is_aborted or not assoc.accepted_contexts
    if assoc.is_established:
        assoc.release()
