"""Modality values to quantities: standardised uptake of PET, and Real World Value Maps (PS3.3 C.8.9, C.7.6.16.2.11)."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hilum.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

__all__ = ["RealWorldMap", "SuvKind", "real_world_maps", "suv_factor"]

SuvKind: TypeAlias = Literal["bw", "lbm", "bsa"]
"""By body weight (g/ml), lean body mass (g/ml, James), body surface area (cm2/ml, Du Bois)."""

_MISSING = 7
_BAD_VALUE = 8
_MAX_DECAY_SECONDS = 7 * 86400.0


def _error(message: str, code: int) -> DataError:
    return DataError(message, code=code)


def _positive(dataset: pydicom.Dataset, keyword: str) -> float:
    """A number above 0; the message names the attribute, never its value."""
    value = dataset.get(keyword)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _error(f"SUV needs {keyword}, which is absent or no number", _MISSING) from None
    if not math.isfinite(number) or number <= 0:
        raise _error(f"SUV needs {keyword} above 0", _BAD_VALUE)
    return number


def _moment(date: object, time: object, what: str) -> datetime:
    """A DA and a TM value as one moment."""
    text = str(time or "").strip()
    whole, _, fraction = text.partition(".")
    try:
        base = datetime.strptime(str(date or "").strip() + whole.ljust(6, "0")[:6], "%Y%m%d%H%M%S")
        return base + timedelta(seconds=float(f"0.{fraction}") if fraction else 0.0)
    except ValueError:
        raise _error(f"SUV needs {what}, which is absent or malformed", _MISSING) from None


def _radiopharmaceutical(dataset: pydicom.Dataset) -> pydicom.Dataset:
    items = dataset.get("RadiopharmaceuticalInformationSequence")
    if not items:
        raise _error("SUV needs RadiopharmaceuticalInformationSequence (0054,0016)", _MISSING)
    item: pydicom.Dataset = items[0]
    return item


def _scan_start(dataset: pydicom.Dataset, half_life: float) -> datetime:
    """The moment to which the pixels are decay corrected when DecayCorrection is START."""
    acquired = _moment(dataset.get("AcquisitionDate"), dataset.get("AcquisitionTime"), "AcquisitionDate and Time")
    with suppress(DataError):
        series = _moment(dataset.get("SeriesDate"), dataset.get("SeriesTime"), "SeriesDate and Time")
        if series <= acquired:
            return series
    # Series times of derived series are those of the processing: GE keeps the scan's, else the frame's own times lead
    # back to it (mean activity within the frame, PS3.3 C.8.9.4.1.5 Frame Reference Time).
    if (0x0009, 0x100D) in dataset:
        text = str(dataset[0x0009, 0x100D].value).strip()
        return _moment(text[:8], text[8:], "the private scan date and time (0009,100D)")
    decay = math.log(2.0) / half_life * _positive(dataset, "ActualFrameDuration") / 1000.0
    mean = half_life / math.log(2.0) * math.log(decay / -math.expm1(-decay))
    reference = dataset.get("FrameReferenceTime")
    if reference is None:
        raise _error("SUV needs FrameReferenceTime, which is absent", _MISSING)
    return acquired - timedelta(seconds=float(reference) / 1000.0 - mean)


def _injection(item: pydicom.Dataset, scan: datetime) -> datetime:
    stamp = str(item.get("RadiopharmaceuticalStartDateTime") or "").split("+")[0].split("-")[0]
    if stamp:
        return _moment(stamp[:8], stamp[8:], "RadiopharmaceuticalStartDateTime")
    time = item.get("RadiopharmaceuticalStartTime")
    start = _moment(scan.strftime("%Y%m%d"), time, "RadiopharmaceuticalStartTime")
    return start if start <= scan else start - timedelta(days=1)  # injected before midnight


def _dose_at_reference(dataset: pydicom.Dataset) -> float:
    """Injected activity in Bq, decayed to the moment to which the pixels are corrected."""
    item = _radiopharmaceutical(dataset)
    dose = _positive(item, "RadionuclideTotalDose")
    correction = str(dataset.get("DecayCorrection") or "")
    if correction == "ADMIN":
        return dose
    if correction != "START":
        raise _error("SUV needs DecayCorrection START or ADMIN", _BAD_VALUE)
    half_life = _positive(item, "RadionuclideHalfLife")
    scan = _scan_start(dataset, half_life)
    seconds = (scan - _injection(item, scan)).total_seconds()
    if not 0.0 <= seconds <= _MAX_DECAY_SECONDS:
        raise _error("SUV: the injection is not within the week before the scan", _BAD_VALUE)
    return float(dose * 2.0 ** (-seconds / half_life))


def _body(dataset: pydicom.Dataset, kind: SuvKind) -> float:
    """Grams of body or lean mass, or square centimetres of surface."""
    weight = _positive(dataset, "PatientWeight")
    if kind == "bw":
        return weight * 1000.0
    height = _positive(dataset, "PatientSize") * 100.0
    if kind == "bsa":
        return float(71.84 * weight**0.425 * height**0.725)
    sex = str(dataset.get("PatientSex") or "")
    if sex not in ("M", "F"):
        raise _error("SUV by lean body mass needs PatientSex M or F", _MISSING)
    ratio = (weight / height) ** 2
    lean = 1.10 * weight - 128.0 * ratio if sex == "M" else 1.07 * weight - 148.0 * ratio
    if lean <= 0:
        raise _error("SUV by lean body mass: the mass would not be above 0", _BAD_VALUE)
    return lean * 1000.0


def _private_factor(dataset: pydicom.Dataset, element: int) -> float:
    try:
        return float(dataset[0x7053, element].value) if (0x7053, element) in dataset else 0.0
    except (TypeError, ValueError):
        return 0.0


def suv_factor(dataset: pydicom.Dataset, kind: SuvKind = "bw") -> float:
    """Factor from modality values (rescaled, PS3.3 C.11.1) of a PET image to SUV.

    The steps are those of QIBA's vendor-neutral pseudo-code: the injected activity is decayed to the scan's start where
    Decay Correction is START, taken as it is where it is ADMIN; Units BQML, Philips' CNTS with its private factors
    (7053,1000) and (7053,1009), and GML, which is SUV by body weight already.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Of the image.
    kind : {"bw", "lbm", "bsa"}
        By body weight (g/ml), lean body mass (g/ml), body surface area (cm2/ml).

    Returns
    -------
    float
        To multiply with.

    Raises
    ------
    DataError
        An attribute is absent or cannot be, or the image is not corrected for attenuation and decay.
    UsageError
        An unknown kind.
    """
    if kind not in ("bw", "lbm", "bsa"):
        raise UsageError("the kind of SUV is none of bw, lbm, bsa")
    units = str(dataset.get("Units") or "")
    per_weight = 1.0 if kind == "bw" else _body(dataset, kind) / _body(dataset, "bw")
    if units == "GML":
        return per_weight
    if units == "CNTS" and (direct := _private_factor(dataset, 0x1000)) > 0:
        return direct * per_weight
    scale = 1.0
    if units == "CNTS":
        scale = _private_factor(dataset, 0x1009)
    if units not in ("BQML", "CNTS") or not scale > 0:
        raise _error("SUV needs Units BQML, GML, or CNTS with Philips' private factors", _BAD_VALUE)
    corrected = dataset.get("CorrectedImage") or []
    done = {corrected} if isinstance(corrected, str) else set(corrected)
    if not {"ATTN", "DECY"} <= done:
        raise _error("SUV needs CorrectedImage with ATTN and DECY", _BAD_VALUE)
    return scale * _body(dataset, kind) / _dose_at_reference(dataset)


@dataclass(frozen=True, slots=True)
class RealWorldMap:
    """One item of a Real World Value Mapping Sequence (0040,9096)."""

    first: float
    """Least stored value that is mapped."""
    last: float
    """Greatest stored value that is mapped."""
    slope: float
    intercept: float
    table: tuple[float, ...] | None
    """A value for each stored value from `first` on, instead of slope and intercept."""
    unit: str
    """Code value, usually of UCUM: ``mm2/s``, ``g/ml{SUVbw}``."""
    label: str

    def apply(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Map stored values (not rescaled); NaN outside of first to last.

        Parameters
        ----------
        stored : ndarray

        Returns
        -------
        ndarray
            ``float64``, of the same shape.
        """
        values = np.asarray(stored, np.float64)
        inside = (values >= self.first) & (values <= self.last)
        if self.table is None:
            return np.where(inside, values * self.slope + self.intercept, np.nan)
        index = np.where(inside, values - self.first, 0).astype(np.intp)
        return np.where(inside, np.asarray(self.table)[index], np.nan)


def _map_of(item: pydicom.Dataset) -> RealWorldMap:
    first = item.get("RealWorldValueFirstValueMapped", item.get("DoubleFloatRealWorldValueFirstValueMapped"))
    last = item.get("RealWorldValueLastValueMapped", item.get("DoubleFloatRealWorldValueLastValueMapped"))
    if first is None or last is None:
        raise _error("Real World Value Mapping without first and last value mapped", _MISSING)
    low, high = float(first), float(last)
    data = item.get("RealWorldValueLUTData")
    table = None if data is None else tuple(float(v) for v in np.atleast_1d(np.asarray(data, np.float64)))
    slope, intercept = item.get("RealWorldValueSlope"), item.get("RealWorldValueIntercept")
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise _error("Real World Value Mapping: the last value mapped is before the first", _BAD_VALUE)
    if table is None and (slope is None or intercept is None):
        raise _error("Real World Value Mapping with neither a table nor slope and intercept", _MISSING)
    if table is not None and len(table) != int(high - low) + 1:
        raise _error("Real World Value LUT Data does not fit first and last value mapped", _BAD_VALUE)
    units = item.get("MeasurementUnitsCodeSequence")
    unit = str(units[0].get("CodeValue", "")) if units else ""
    return RealWorldMap(
        low, high, float(slope or 0.0), float(intercept or 0.0), table, unit, str(item.get("LUTLabel", ""))
    )


def real_world_maps(dataset: pydicom.Dataset, frame: int = 0) -> tuple[RealWorldMap, ...]:
    """Read the Real World Value Maps of a frame: its own functional groups, else shared ones, else the top level.

    Parameters
    ----------
    dataset : pydicom.Dataset
    frame : int
        From 0.

    Returns
    -------
    tuple of RealWorldMap
        Empty without any.

    Raises
    ------
    DataError
        An item that contradicts itself.
    """
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for source in [*per_frame[frame : frame + 1], *shared[:1], dataset]:
        items = source.get("RealWorldValueMappingSequence")
        if items:
            return tuple(_map_of(item) for item in items)
    return ()
