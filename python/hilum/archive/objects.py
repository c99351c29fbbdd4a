"""Patients, studies, series and instances as Python objects: what `Archive.studies()` and its like give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.archive.frames import Frames
from hilum.archive.renderable import Renderable
from hilum.archive.search import keyword_of
from hilum.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    import pydicom

    from hilum.archive.archive import Archive
    from hilum.index.base import InstanceRecord
    from hilum.types import PixelDescription
    from hilum.volumes.contours import StructureSet
    from hilum.volumes.segments import Segmentation
    from hilum.volumes.volume import Volume

__all__ = ["Instance", "Patient", "Series", "Study"]


class _Node:
    """What patients, studies, series and instances have in common: attributes as the index knows them."""

    __slots__ = ("_archive", "_attributes")

    def __init__(self, archive: Archive, attributes: Mapping[str, object]) -> None:
        self._archive = archive
        self._attributes = attributes

    @property
    def archive(self) -> Archive:
        """The archive that holds it."""
        return self._archive

    @property
    def attributes(self) -> Mapping[str, object]:
        """Indexed attributes by keyword: text, a list of texts where there are several values, dicts for items."""
        return self._attributes

    def get(self, name: str, default: object = "") -> object:
        """Return an indexed attribute by keyword or its name in snake_case.

        Parameters
        ----------
        name : str
            ``"PatientID"`` or ``"patient_id"``.
        default : object
            For an attribute that is absent or not indexed.

        Raises
        ------
        UsageError
            PS3.6 has no such attribute.
        """
        return self.attributes.get(keyword_of(name), default)

    def _text(self, keyword: str) -> str:
        value = self.attributes.get(keyword, "")
        if isinstance(value, list):
            return str(value[0]) if value else ""
        return "" if value is None else str(value)

    def _number(self, keyword: str) -> int:
        text = self._text(keyword).strip()
        try:
            return int(text)
        except ValueError:
            return 0

    def _list(self, keyword: str) -> list[str]:
        value = self.attributes.get(keyword, [])
        return [str(v) for v in value] if isinstance(value, list) else [str(value)] if value else []

    @property
    def patient_id(self) -> str:
        """PatientID (0010,0020)."""
        return self._text("PatientID")

    @property
    def patient_name(self) -> str:
        """PatientName (0010,0010): ``family^given^middle^prefix^suffix``."""
        return self._text("PatientName")


class Patient(_Node):
    """A patient: one PatientID of one issuer."""

    __slots__ = ()

    @property
    def number_of_studies(self) -> int:
        """NumberOfPatientRelatedStudies (0020,1200)."""
        return self._number("NumberOfPatientRelatedStudies")

    @property
    def studies(self) -> list[Study]:
        """All studies of the patient, the newest first."""
        keys: dict[str, Any] = {"patient_id": self.patient_id}
        issuer = self._text("IssuerOfPatientID")
        if issuer:
            keys["issuer_of_patient_id"] = issuer
        return self._archive.studies(**keys)

    def __repr__(self) -> str:
        return f"<hilum.Patient with {self.number_of_studies} studies>"


class Study(_Node):
    """A study."""

    __slots__ = ()

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID (0020,000D)."""
        return self._text("StudyInstanceUID")

    @property
    def study_date(self) -> str:
        """StudyDate (0008,0020) as DICOM has it: ``YYYYMMDD``."""
        return self._text("StudyDate")

    @property
    def study_description(self) -> str:
        """StudyDescription (0008,1030)."""
        return self._text("StudyDescription")

    @property
    def accession_number(self) -> str:
        """AccessionNumber (0008,0050)."""
        return self._text("AccessionNumber")

    @property
    def modalities_in_study(self) -> list[str]:
        """ModalitiesInStudy (0008,0061)."""
        return self._list("ModalitiesInStudy")

    @property
    def number_of_series(self) -> int:
        """NumberOfStudyRelatedSeries (0020,1206)."""
        return self._number("NumberOfStudyRelatedSeries")

    @property
    def number_of_instances(self) -> int:
        """NumberOfStudyRelatedInstances (0020,1208)."""
        return self._number("NumberOfStudyRelatedInstances")

    @property
    def series(self) -> list[Series]:
        """Series in display order: by SeriesNumber."""
        return self._archive.series(study_instance_uid=self.study_instance_uid)

    @property
    def instances(self) -> list[Instance]:
        """All instances, series by series."""
        records = self._archive.retrieve.records(self.study_instance_uid)
        return [Instance(self._archive, record) for record in records]

    def delete(self, reason: str = "") -> int:
        """Delete the study; returns how many objects are gone."""
        return self._archive.delete("study", self.study_instance_uid, reason=reason).objects

    def __repr__(self) -> str:
        return f"<hilum.Study {self.study_instance_uid}: {self.number_of_instances} instances>"


class Series(_Node):
    """A series of one study."""

    __slots__ = ()

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID (0020,000D)."""
        return self._text("StudyInstanceUID")

    @property
    def series_instance_uid(self) -> str:
        """SeriesInstanceUID (0020,000E)."""
        return self._text("SeriesInstanceUID")

    @property
    def modality(self) -> str:
        """Modality (0008,0060)."""
        return self._text("Modality")

    @property
    def series_number(self) -> int:
        """SeriesNumber (0020,0011), 0 when it has none."""
        return self._number("SeriesNumber")

    @property
    def series_description(self) -> str:
        """SeriesDescription (0008,103E)."""
        return self._text("SeriesDescription")

    @property
    def number_of_instances(self) -> int:
        """NumberOfSeriesRelatedInstances (0020,1209)."""
        return self._number("NumberOfSeriesRelatedInstances")

    @property
    def instances(self) -> list[Instance]:
        """Instances in display order: by InstanceNumber."""
        records = self._archive.retrieve.records(self.study_instance_uid, self.series_instance_uid)
        return [Instance(self._archive, record) for record in records]

    @property
    def frames(self) -> Frames:
        """Frames of all instances that have pixel data, one after the other, decoded when they are asked for."""
        return Frames(self.instances)

    def volume(self, stack: int = 0) -> Volume:
        """Return the series as a volume: a regular grid of voxels with its geometry.

        Parameters
        ----------
        stack : int
            Which, if it has several (directions, echoes, b-values, regions): 0 is the largest. See `volumes`.

        Raises
        ------
        NotAVolume
            It makes none, or not so many; the message has the reasons.
        DataError
            A header is damaged.
        """
        return self._archive.series_volume(self.study_instance_uid, self.series_instance_uid, stack)

    @property
    def volumes(self) -> list[Volume]:
        """All volumes of the series, the largest first; empty if it makes none."""
        from hilum.archive.volumes import series_volumes

        return series_volumes(self._archive, self.study_instance_uid, self.series_instance_uid)

    def delete(self, reason: str = "") -> int:
        """Delete the series; returns how many objects are gone."""
        report = self._archive.delete(
            "series", self.series_instance_uid, study_uid=self.study_instance_uid, reason=reason
        )
        return report.objects

    def __repr__(self) -> str:
        return f"<hilum.Series {self.series_instance_uid}: {self.number_of_instances} × {self.modality or '?'}>"


class Instance(_Node, Renderable):
    """One object: its bytes, its data set, its frames."""

    __slots__ = ("_record",)

    def __init__(
        self, archive: Archive, record: InstanceRecord, attributes: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(archive, attributes or {})
        self._record = record

    @property
    def attributes(self) -> Mapping[str, object]:
        """Indexed attributes of the instance and of what it belongs to, by keyword."""
        if not self._attributes:
            found = self._archive.search("instance", {"SOPInstanceUID": self.sop_instance_uid}, includefield=("all",))
            if not len(found):
                raise NotFound("the instance has been deleted")
            self._attributes = found.to_dicts()[0]
        return self._attributes

    @property
    def record(self) -> InstanceRecord:
        """What the index knows about where and what it is."""
        return self._record

    @property
    def sop_instance_uid(self) -> str:
        """SOPInstanceUID (0008,0018)."""
        return self._record.sop_instance_uid

    @property
    def sop_class_uid(self) -> str:
        """SOPClassUID (0008,0016)."""
        return self._record.sop_class_uid

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID (0020,000D)."""
        return self._record.study_instance_uid

    @property
    def series_instance_uid(self) -> str:
        """SeriesInstanceUID (0020,000E)."""
        return self._record.series_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """TransferSyntaxUID (0002,0010)."""
        return self._record.transfer_syntax_uid

    @property
    def instance_number(self) -> int:
        """InstanceNumber (0020,0013), 0 when it has none."""
        return self._number("InstanceNumber")

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self._record.location.length

    @property
    def sha256(self) -> str:
        """SHA-256 of the object's bytes, in hex."""
        return self._record.sha256.hex()

    @property
    def pixels(self) -> PixelDescription | None:
        """How the pixel values are stored; None without pixel data."""
        return self._archive.retrieve.pixels(self._record)

    @property
    def number_of_frames(self) -> int:
        """Frames of the pixel data, 0 without."""
        return self._archive.retrieve.frame_count(self._record)

    def read_bytes(self) -> bytes:
        """Return the object exactly as it was received."""
        return self._archive.retrieve.read(self._record)

    def dataset(self) -> pydicom.Dataset:
        """Parse the object with pydicom."""
        return self._archive.retrieve.dataset(self._record)

    def json(self, bulk_data_uri: str = "") -> bytes:
        """Write the data set as DICOM JSON (PS3.18 F): one object, UTF-8; long binary values as BulkDataURI."""
        return self._archive.retrieve.instance_json(self._record, bulk_data_uri)

    def frame(self, index: int, rgb: bool = False) -> npt.NDArray[np.generic]:
        """Decode a frame.

        Parameters
        ----------
        index : int
            From 0.
        rgb : bool
            Convert YBR and palette colour to RGB; False: colour as stored.

        Returns
        -------
        ndarray
            Stored values before any look-up table: ``(rows, columns)`` or ``(rows, columns, samples)``, dtype by bits
            allocated and sign.

        Raises
        ------
        UsageError
            There is no such frame.
        DataError
            No pixel data, or it cannot be decoded.
        """
        return self._archive.retrieve.decoded_frame(self._record, index, rgb=rgb)

    @property
    def frames(self) -> Frames:
        """All frames, decoded when they are asked for."""
        return Frames([self])

    def segmentation(self) -> Segmentation | StructureSet:
        """Read a segmentation (SEG) or structure set (RTSTRUCT): its segments, and masks of them.

        Raises
        ------
        UsageError
            It is neither.
        NotAVolume
            A segmentation of a slide, or without geometry.
        DataError
            It contradicts itself; the message names the attribute.
        """
        from hilum.archive.segmented import read_segmentation

        return read_segmentation(self._archive, self._record)

    def delete(self, reason: str = "") -> int:
        """Delete the object and its versions; returns how many are gone."""
        return self._archive.delete("instance", self.sop_instance_uid, reason=reason).objects

    def __repr__(self) -> str:
        return f"<hilum.Instance {self.sop_instance_uid}: {self.size} bytes>"
