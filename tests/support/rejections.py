"""What a server answers to a request for an association that it rejects."""

from __future__ import annotations

import socket
from typing import Any

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID
from pynetdicom.pdu import A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification


def answer_to(title: str, port: int, contexts: list[Any]) -> str:
    """Ask for an association; result, source and reason of the A-ASSOCIATE-RJ.

    pynetdicom writes the request and reads the answer. Its requestor, with a thread between the socket and the caller,
    sometimes forgets a rejection that is followed by the end of the connection at once.
    """
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = title, "HILUM"
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    request.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = 16382
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = PYNETDICOM_IMPLEMENTATION_UID
    request.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        peer.sendall(pdu.encode())
        came = b""
        while len(came) < 10 and (piece := peer.recv(10 - len(came))):
            came += piece
    rejected = A_ASSOCIATE_RJ()
    rejected.decode(came)
    return f"{rejected.result} {rejected.source} {rejected.reason_diagnostic}"
