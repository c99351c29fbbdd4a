"""What programs ask of other DICOM nodes: C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET as SCU.

Examples
--------
>>> from hilum.dimse.client import Remote, echo, find  # doctest: +SKIP
>>> pacs = Remote("10.0.0.5", 104, called="PACS")  # doctest: +SKIP
>>> echo(pacs)  # doctest: +SKIP
0.012
>>> for study in find(pacs, "study", {"PatientID": "4711", "StudyInstanceUID": ""}):  # doctest: +SKIP
...     print(study["StudyInstanceUID"])
"""

from hilum.dimse.client.get import FolderReceiver, Receiver, get, get_entity
from hilum.dimse.client.query import Finder, echo, find, move
from hilum.dimse.client.remote import Counts, Refused, Remote, cancelling
from hilum.dimse.client.store import StoreOutcome, store

__all__ = [
    "Counts",
    "Finder",
    "FolderReceiver",
    "Receiver",
    "Refused",
    "Remote",
    "StoreOutcome",
    "cancelling",
    "echo",
    "find",
    "get",
    "get_entity",
    "move",
    "store",
]
