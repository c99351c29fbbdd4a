"""What we propose when we request an association: presentation contexts, roles, a user (PS3.8 9.3.2, PS3.7 D.3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context

from hilum.archive import outgoing
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.storage import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hilum.dimse.identity import Identity
    from hilum.index.base import InstanceRecord

__all__ = ["Proposal", "association_request", "proposals_for"]

_CONTEXTS: Final = 128
"""Of one association; their numbers are odd and have eight bits."""
_LONGEST_IDENTITY: Final = 60_000
"""Its length has 16 bits, and the item around it too."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One presentation context to propose."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    as_scp: bool = False
    """Propose to be the SCP of it (PS3.7 D.3.3.4), as C-GET needs for storage classes."""
    as_scu: bool = False
    """With `as_scp`: and the SCU too, as some peers want it."""
    extended: bytes = b""
    """SOP class extended negotiation (PS3.4 C.5.1.1)."""


def proposals_for(records: Iterable[InstanceRecord], syntaxes: Sequence[str] = ()) -> list[list[Proposal]]:
    """Presentation contexts that carry these instances, for one association or several of at most 128 contexts.

    Each class gets a context for each stored syntax, and contexts of the syntaxes that it may be transcoded to.

    Parameters
    ----------
    records : iterable of InstanceRecord
    syntaxes : sequence of str
        Only these, and Implicit VR Little Endian where none of them is uncompressed (PS3.5 10.1); empty: as stored,
        else uncompressed.
    """
    classes: dict[str, dict[str, None]] = {}
    for record in records:
        classes.setdefault(record.sop_class_uid, {})[record.transfer_syntax_uid] = None
    plain = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    bundles: list[list[Proposal]] = [[]]
    for uid, stored in classes.items():
        allowed = [s for s in stored if not syntaxes or s in syntaxes]
        rest = tuple(s for s in plain if not syntaxes or s in syntaxes) or plain[1:]
        compressed = [*allowed, *(s for s in syntaxes if s in outgoing.TARGETS)]
        own = [Proposal(uid, (s,)) for s in dict.fromkeys(compressed) if s not in plain][: _CONTEXTS - 2]
        first = tuple(s for s in rest if s in stored) or rest[:1]
        own += [Proposal(uid, (s,)) for s in dict.fromkeys((*first, *rest))]
        if len(bundles[-1]) + len(own) > _CONTEXTS:
            bundles.append([])
        bundles[-1] += own
    return bundles


def association_request(
    calling: str, called: str, proposals: Sequence[Proposal], max_pdu: int, identity: Identity | None = None
) -> bytes:
    """Write an A-ASSOCIATE-RQ.

    Parameters
    ----------
    calling, called : str
        AE titles.
    proposals : sequence of Proposal
        Their presentation contexts have the numbers 1, 3, 5 and so on.
    max_pdu : int
        Longest P-DATA PDU that we take.
    identity : Identity, optional
        User to tell, with a request for its confirmation.

    Raises
    ------
    UsageError
        A title is none, or what proves the user is too long.
    """
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    try:
        primitive.calling_ae_title = calling
        primitive.called_ae_title = called
    except (ValueError, TypeError) as error:
        raise UsageError("an AE title has 1 to 16 printable ASCII characters, no backslash") from error
    contexts = []
    for number, proposal in enumerate(proposals):
        context = build_context(proposal.abstract_syntax, list(proposal.transfer_syntaxes))
        context.context_id = 2 * number + 1
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    primitive.user_information = [*_ourselves(max_pdu), *_roles(proposals), *_extensions(proposals)]
    if identity is not None:
        primitive.user_information.append(_user(identity))
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def _ourselves(max_pdu: int) -> list[Any]:
    length = MaximumLengthNotification()
    length.maximum_length_received = max_pdu
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return [length, implementation, version]


def _roles(proposals: Sequence[Proposal]) -> Iterator[SCP_SCU_RoleSelectionNegotiation]:
    for uid, as_scu in {p.abstract_syntax: p.as_scu for p in proposals if p.as_scp}.items():
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = uid
        role.scu_role, role.scp_role = as_scu, True
        yield role


def _extensions(proposals: Sequence[Proposal]) -> Iterator[SOPClassExtendedNegotiation]:
    for proposal in proposals:
        if proposal.extended:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = proposal.abstract_syntax
            item.service_class_application_information = proposal.extended
            yield item


def _user(identity: Identity) -> UserIdentityNegotiation:
    if len(identity.primary) > _LONGEST_IDENTITY:
        raise UsageError(f"what proves the user is longer than {_LONGEST_IDENTITY} bytes")
    item = UserIdentityNegotiation()
    item.user_identity_type = identity.kind
    item.positive_response_requested = True
    item.primary_field = identity.primary
    if identity.secondary:
        item.secondary_field = identity.secondary
    return item
