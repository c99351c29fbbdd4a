"""Requests to services: which message of which SOP class is answered by what, and who may ask."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from hilum.dicom.status import PROCESSING_FAILURE
from hilum.dimse.messages import Field, Tag, response_to
from hilum.dimse.models import COMMITMENT_CLASS, MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hilum.dimse.wire import Link, Outcome, Request

    Service = Callable[[Link, Request], Outcome]

__all__ = ["Services"]

LOGGER = logging.getLogger("hilum.dimse")
_UNRECOGNISED: Final = 0x0211
_NOT_AUTHORISED: Final = 0x0124
_FIELDS: Final = {"find": Field.C_FIND, "get": Field.C_GET, "move": Field.C_MOVE}


class Services:
    """Gives the requests of associations to the services.

    Parameters
    ----------
    services : mapping of str to callable
        ``find``, ``get``, ``move``, ``commit``: ``service(link, request)``, gives its `Outcome`.
    may : callable
        ``may(title, service)``: whether this peer may ask for it.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        may: Callable[[str, str], bool] = lambda _title, _service: True,
        refused: Callable[[Link, str, str], Any] = lambda _link, _service, _reason: None,
    ) -> None:
        self._services = services
        self._may = may
        self._refused = refused

    def __call__(self, link: Link, request: Request) -> bool:
        """Answer a request; False when it is none of ours."""
        name = self._name(request)
        if name is None:
            return False
        field = int(request.command[Tag.COMMAND_FIELD])
        if not self._may(link.calling_ae_title, name):
            self._refused(link, name, "the service is not allowed for this AE title")
            status = 0xA700 if name in _FIELDS else _NOT_AUTHORISED
            link.send(request.context.id, response_to(request.command, status, comment="not authorised"))
        elif field != _FIELDS.get(name, Field.N_ACTION) or name not in self._services:
            self._refused(link, name, "the operation is not one of the SOP class")
            link.send(request.context.id, response_to(request.command, _UNRECOGNISED, comment="unrecognised operation"))
        else:
            self._serve(name, link, request)
        return True

    def _serve(self, name: str, link: Link, request: Request) -> None:
        from hilum.errors import HilumError, Unavailable

        try:
            status, reason = self._services[name](link, request)
        except Unavailable:
            raise
        except Exception as error:
            shown = str(error) if isinstance(error, HilumError) else type(error).__name__
            LOGGER.error("%s failed: %s", name, shown)
            self._refused(link, name, "processing failure")
            status = 0xC000 if name in _FIELDS else PROCESSING_FAILURE
            link.send(request.context.id, response_to(request.command, status, comment="processing failure"))
        else:
            if reason:
                self._refused(link, name, f"{reason} (status {status:04X})")

    @staticmethod
    def _name(request: Request) -> str | None:
        model = MODELS.get(request.context.abstract_syntax)
        if model is not None:
            return model.service
        return "commit" if request.context.abstract_syntax == COMMITMENT_CLASS else None
