"""The DICOM port: pynetdicom behind our gate, or its stock server where our gate does not fit."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import AE, _config, evt, sop_class

from hilum.dicom.uids import storage_sop_classes
from hilum.dimse.models import COMMITMENT_CLASS, MODELS
from hilum.dimse.storage import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    StoreHandler,
    StoreSpool,
    part10_prefix,
)
from hilum.dimse.transport import Gate, GateSettings, patched
from hilum.dimse.verification import handle_echo
from hilum.dimse.wire import can_serve, serve_with
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

VERIFICATION: Final = "1.2.840.10008.1.1"
TRANSFER_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


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
    ) -> None:
        _configure_pynetdicom()
        if not patched() and (tls is not None or admission is not None):
            raise Unavailable("this pynetdicom has no place for our gate: TLS and rules for peers need another version")
        self._listener = listener
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
        handlers: list[Any] = [
            (evt.EVT_C_ECHO, handle_echo),
            (evt.EVT_C_STORE, store),
            (evt.EVT_ACCEPTED, lambda _event: observe("accepted")),
            (evt.EVT_REJECTED, lambda _event: observe("rejected")),
            (evt.EVT_ABORTED, lambda _event: observe("aborted")),
        ]
        if services is not None and can_serve():
            for uid in (*MODELS, COMMITMENT_CLASS):
                ae.add_supported_context(uid, list(TRANSFER_SYNTAXES))
            handlers.append((evt.EVT_CONN_OPEN, lambda event: serve_with(event.assoc, services)))
            handlers.append((evt.EVT_SOP_EXTENDED, _extended))
        self._ae = ae
        self._handlers = handlers
        self._gate: Gate | None = None
        self._stock: Any = None
        if patched():
            gate = GateSettings(
                max_associations=settings.max_associations, max_pdu_bytes=settings.max_pdu_bytes, tls=tls
            )
            gate = replace(gate, max_associations_per_ae=settings.max_associations_per_ae)
            if admission is not None:
                gate = replace(gate, admit=admission, refused=functools.partial(admission.refused, ""))
            self._gate = Gate(
                ae,
                settings.ae_title,
                ae.supported_contexts,
                handlers,
                listener=listener,
                settings=gate,
                make_spool=lambda identify: StoreSpool(incoming.spool(), lambda: part10_prefix(*identify())),
                observe=observe,
            )

    @property
    def port(self) -> int:
        """TCP port that is listened on."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Begin to accept, in threads of this process."""
        if self._gate is not None:
            self._gate.start()
            return
        address = self._listener.getsockname()
        self._listener.close()
        self._stock = self._ae.start_server(address, block=False, evt_handlers=self._handlers)

    def stop(self, grace_s: float = 5.0) -> None:
        """Accept no more, give running associations some time, then abort them."""
        if self._gate is not None:
            self._gate.stop(grace_s)
        elif self._stock is not None:
            self._stock.shutdown()
