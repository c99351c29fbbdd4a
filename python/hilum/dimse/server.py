"""The DICOM port: our gate and receive path on pynetdicom's negotiation, or its own server where that does not fit."""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import AE, _config, evt, sop_class

from hilum.dicom.receiving import MemoryBudget, ReceiverSettings
from hilum.dicom.uids import storage_sop_classes
from hilum.dimse.gate import Gate, GateSettings
from hilum.dimse.identifier import MAX_BYTES
from hilum.dimse.models import COMMITMENT_CLASS, MODELS
from hilum.dimse.negotiation import available
from hilum.dimse.places import Places
from hilum.dimse.serving import VERIFICATION, Acceptor
from hilum.dimse.stock import StockServer, can_serve, serve_with
from hilum.dimse.storage import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, StoreHandler
from hilum.dimse.verification import handle_echo
from hilum.errors import Unavailable

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from hilum.archive.incoming import Incoming
    from hilum.config import DimseSettings
    from hilum.dimse.admission import Admission
    from hilum.dimse.services import Services

__all__ = ["TRANSFER_SYNTAXES", "VERIFICATION", "DimseServer"]

LOGGER = logging.getLogger("hilum.dimse")
TRANSFER_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_PDU_SLACK: Final = 1 << 20
"""By so much a PDU may be longer than what we offer: there are senders that count otherwise."""
_PDU_S: Final = 30.0
"""From the first to the last byte of a PDU."""


def _configure_pynetdicom() -> None:
    """Accept every storage class and syntax; no identifier of a patient in any log (P59)."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its messages and traces may quote what peers sent
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.LOG_HANDLER_LEVEL = "none"
    _config.ENFORCE_UID_CONFORMANCE = False
    for uid, (_, kind, *_, keyword) in UID_dictionary.items():
        # What pynetdicom has under another keyword, as the worklist, it would take for storage.
        if keyword and kind == "SOP Class" and uid not in storage_sop_classes() and not hasattr(sop_class, keyword):
            setattr(sop_class, keyword, UID(uid))


def _extended(event: Any) -> dict[Any, bytes]:
    """Answer SOP class extended negotiation (PS3.4 C.5.1.1).

    Relational and combined date-time matching are there, fuzzy matching and time zone adjustment are not.
    """
    answers = {}
    for uid, proposed in event.app_info.items():
        model = MODELS.get(str(uid))
        if model is not None:
            offered = bytes((1, 1, 0, 0, 0)) if model.service == "find" else bytes((1,))
            answers[uid] = bytes(a & b for a, b in zip(proposed, offered, strict=False))
    return answers


class DimseServer:
    """All services on one socket.

    Parameters
    ----------
    settings : DimseSettings
        Titles and limits.
    listener : socket.socket
        Bound, not yet listening.
    store : StoreHandler
        Takes what C-STORE brings.
    incoming : Incoming
        Where it waits while it arrives.
    observe : callable
        ``observe(outcome)`` of associations, for the metrics.
    services : Services, optional
        Query, retrieval and storage commitment.
    admission : Admission, optional
        Who may call, and from where.
    tls : ssl.SSLContext, optional
        Every connection must be encrypted.
    places : Places, optional
        Shared by all acceptor processes; default: those of the settings, for this process alone.
    stock : bool
        Use pynetdicom's own server in any case.
    """

    def __init__(
        self,
        settings: DimseSettings,
        listener: socket.socket,
        store: StoreHandler,
        incoming: Incoming,
        observe: Callable[[str], None] = lambda _outcome: None,
        services: Services | None = None,
        admission: Admission | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        places: Places | None = None,
        stock: bool = False,
    ) -> None:
        _configure_pynetdicom()
        self._port = int(listener.getsockname()[1])
        ae = _application_entity(settings)
        handlers: list[Any] = [
            (evt.EVT_ACCEPTED, lambda _event: observe("accepted")),
            (evt.EVT_REJECTED, lambda _event: observe("rejected")),
            (evt.EVT_SOP_EXTENDED, _extended),
            (evt.EVT_ASYNC_OPS, lambda _event: (1, 1)),  # that there is an answer: `negotiate` says what is in it
        ]
        self._wake = os.pipe()
        self._ended = False
        self._gate: Gate | None = None
        self._stock: StockServer | None = None
        if stock or not available():
            LOGGER.warning("pynetdicom's own server is used, which is slow: its version is not one that is known")
            handlers += [
                (evt.EVT_C_ECHO, handle_echo),
                (evt.EVT_C_STORE, store),
                (evt.EVT_ABORTED, lambda _event: observe("aborted")),
            ]
            if services is not None and can_serve():
                _add_services(ae)
                handlers.append((evt.EVT_CONN_OPEN, lambda event: serve_with(event.assoc, services)))
            if admission is not None and admission.restricts:
                raise Unavailable("this pynetdicom has no place for accept-syntaxes, accept-classes and dimse.coerce")
            self._stock = StockServer(ae, listener, handlers, admission, tls)
            return
        if services is not None:
            _add_services(ae)
        acceptor = Acceptor(
            ae=ae,
            ae_title=settings.ae_title,
            receiving=ReceiverSettings(
                budget=MemoryBudget(incoming.memory_bytes),
                folder=str(incoming.folder),
                max_pdu_bytes=settings.max_pdu_bytes + _PDU_SLACK if settings.max_pdu_bytes else 0,
                max_data_set_bytes=MAX_BYTES,
                spool_above_bytes=incoming.spool_above_bytes,
                max_object_bytes=incoming.max_object_bytes,
            ),
            wake=self._wake[0],
            idle_s=settings.idle_seconds,
            pdu_s=_PDU_S,
            store=store,
            services=services,
            handlers=handlers,
            observe=observe,
        )
        if admission is not None:
            acceptor = replace(
                acceptor,
                take=admission.takes,
                confirm_users=admission.verifies_users,
                refused=admission.refused,
            )
        gate = GateSettings(tls=tls)
        if admission is not None:
            gate = replace(gate, admit=admission, refused=functools.partial(admission.refused, ""))
        places = places or Places.of(settings)
        self._gate = Gate(listener, gate, places, acceptor, observe)

    @property
    def port(self) -> int:
        """TCP port that is listened on."""
        return self._port

    def start(self) -> None:
        """Begin to accept, in threads of this process."""
        server = self._gate or self._stock
        assert server is not None
        server.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Accept no more, give running associations some time, then abort them."""
        if self._stock is not None:
            self._stock.stop(grace_s)
        if self._gate is not None:
            self._gate.stop()
            if not self._gate.wait(grace_s):
                os.write(self._wake[1], b"x")
                self._gate.wait(2.0)
        if not self._ended:
            self._ended = True
            os.close(self._wake[1])
            if self._gate is None or not self._gate.active:
                os.close(self._wake[0])


def _application_entity(settings: DimseSettings) -> AE:
    ae = AE(ae_title=settings.ae_title)
    ae.add_supported_context(VERIFICATION, list(TRANSFER_SYNTAXES))
    ae.maximum_pdu_size = settings.max_pdu_bytes
    ae.maximum_associations = settings.max_associations
    ae.network_timeout = settings.idle_seconds
    ae.acse_timeout = 30
    ae.dimse_timeout = max(settings.idle_seconds, 30)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.require_calling_aet = list(settings.calling_ae_titles)
    return ae


def _add_services(ae: AE) -> None:
    for uid in (*MODELS, COMMITMENT_CLASS):
        ae.add_supported_context(uid, list(TRANSFER_SYNTAXES))
