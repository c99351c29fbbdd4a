"""The DIMSE part of the conformance statement (PS3.2), made of the tables that the services run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.dicom.uids import TRANSFER_SYNTAXES
from hilum.dimse.commitment import COMMITMENT_STATUS
from hilum.dimse.models import COMMITMENT_CLASS, LEVEL_NAMES, MODELS
from hilum.dimse.query import FIND_STATUS
from hilum.dimse.retrieve import RETRIEVE_STATUS
from hilum.dimse.server import TRANSFER_SYNTAXES as NEGOTIATED
from hilum.dimse.server import VERIFICATION
from hilum.dimse.storage import STORE_STATUS
from hilum.index.schema import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BEGIN", "END", "dimse_tables"]

BEGIN: Final = "<!-- made by hilum.dimse.statement -->"
END: Final = "<!-- end of what is made -->"
_TITLES: Final = {level: name for name, level in LEVEL_NAMES.items()}


def dimse_tables() -> str:
    """Tables of SOP classes, statuses and matching keys, in Markdown."""
    parts = [
        BEGIN,
        _sop_classes(),
        _statuses("C-STORE", STORE_STATUS),
        _statuses("C-FIND", FIND_STATUS),
        _statuses("C-GET and C-MOVE", RETRIEVE_STATUS),
        _statuses("N-ACTION (storage commitment)", COMMITMENT_STATUS),
        _keys(),
        END,
    ]
    return "\n\n".join(parts) + "\n"


def _sop_classes() -> str:
    syntaxes = ", ".join(TRANSFER_SYNTAXES[uid].name for uid in NEGOTIATED)
    lines = ["| SOP class | UID | role | transfer syntaxes |", "|---|---|---|---|"]
    lines.append(f"| Verification | {VERIFICATION} | SCP, SCU | {syntaxes} |")
    lines.append(
        "| Storage: standard, retired, private and unknown | any | SCP, SCU | the first one that is proposed, any |"
    )
    lines += [f"| {model.name} | {uid} | {_roles(model.name)} | {syntaxes} |" for uid, model in MODELS.items()]
    lines.append(f"| Storage Commitment Push Model | {COMMITMENT_CLASS} | SCP | {syntaxes} |")
    return "\n".join(lines)


def _roles(name: str) -> str:
    return "SCP" if "retired" in name else "SCP, SCU"


def _statuses(service: str, table: Mapping[int, str]) -> str:
    lines = [f"| {service} status | when |", "|---|---|"]
    lines += [f"| {status:04X} | {text} |" for status, text in sorted(table.items())]
    return "\n".join(lines)


def _keys() -> str:
    lines = ["| matching key of C-FIND | tag | VR | level |", "|---|---|---|---|"]
    levels = ("patient", "study", "series", "instance")
    for spec in ATTRIBUTES:
        tag = " / ".join(f"({part >> 16:04X},{part & 0xFFFF:04X})" for part in spec.path)
        lines.append(f"| {spec.keyword} | {tag} | {spec.vr} | {_TITLES[levels[spec.level - 1]]} |")  # type: ignore[index]
    return "\n".join(lines)
