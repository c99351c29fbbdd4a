"""SUV and Real World Value Maps: numbers worked out by hand from the attributes, real PET, and bad headers."""

from __future__ import annotations

import io
import math
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from hilum.errors import DataError, UsageError
from hilum.pixels.quantity import real_world_maps, suv_factor

if TYPE_CHECKING:
    from pathlib import Path

HALF_LIFE = 6586.2  # of F-18, seconds


def pet(**changes: Any) -> Dataset:
    """One hour from injection to the scan, 370 MBq, 70 kg, 175 cm."""
    dataset = Dataset()
    dataset.Units, dataset.DecayCorrection, dataset.CorrectedImage = "BQML", "START", ["ATTN", "DECY"]
    dataset.PatientWeight, dataset.PatientSize, dataset.PatientSex = "70", "1.75", "M"
    dataset.SeriesDate = dataset.AcquisitionDate = "20200301"
    dataset.SeriesTime, dataset.AcquisitionTime = "110000", "110500.5"
    item = Dataset()
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = "370000000", str(HALF_LIFE)
    item.RadiopharmaceuticalStartTime = "100000.00"
    dataset.RadiopharmaceuticalInformationSequence = [item]
    for name, value in changes.items():
        setattr(item if name in item or name.startswith("RadiopharmaceuticalStart") else dataset, name, value)
    return dataset


def decayed(seconds: float) -> float:
    return 370e6 * math.exp(-math.log(2) * seconds / HALF_LIFE)


def test_decay_corrected_to_the_start_of_the_scan() -> None:
    assert suv_factor(pet()) == pytest.approx(70000 / decayed(3600), rel=1e-12)


def test_decay_corrected_to_the_administration() -> None:
    assert suv_factor(pet(DecayCorrection="ADMIN")) == pytest.approx(70000 / 370e6, rel=1e-12)


def test_lean_body_mass_and_body_surface() -> None:
    lean = 1.10 * 70 - 128 * (70 / 175) ** 2
    assert suv_factor(pet(), "lbm") == pytest.approx(lean * 1000 / decayed(3600), rel=1e-12)
    lean = 1.07 * 70 - 148 * (70 / 175) ** 2
    assert suv_factor(pet(PatientSex="F"), "lbm") == pytest.approx(lean * 1000 / decayed(3600), rel=1e-12)
    surface = 0.007184 * 70**0.425 * 175**0.725 * 10000
    assert suv_factor(pet(), "bsa") == pytest.approx(surface / decayed(3600), rel=1e-12)


def test_units_that_are_suv_already() -> None:
    assert suv_factor(pet(Units="GML")) == 1.0


def test_counts_with_private_factors() -> None:
    dataset = pet(Units="CNTS")
    dataset.add_new((0x7053, 0x1000), "DS", "0.0005")
    assert suv_factor(dataset) == 0.0005
    dataset = pet(Units="CNTS")
    dataset.add_new((0x7053, 0x1009), "DS", "2.5")
    assert suv_factor(dataset) == pytest.approx(2.5 * 70000 / decayed(3600), rel=1e-12)


def test_injected_before_midnight() -> None:
    dataset = pet(SeriesTime="002000", AcquisitionTime="002500", RadiopharmaceuticalStartTime="233000")
    assert suv_factor(dataset) == pytest.approx(70000 / decayed(3000), rel=1e-12)
    dataset = pet(RadiopharmaceuticalStartDateTime="20200301093000.000")
    assert suv_factor(dataset) == pytest.approx(70000 / decayed(5400), rel=1e-12)


def test_a_derived_series_is_led_back_to_the_scan() -> None:
    dataset = pet(SeriesTime="180000", FrameReferenceTime="400000", ActualFrameDuration="200000")
    rate = math.log(2) / HALF_LIFE
    mean = math.log(rate * 200 / (1 - math.exp(-rate * 200))) / rate
    assert suv_factor(dataset) == pytest.approx(70000 / decayed(3900.5 - 400 + mean), rel=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"Units": "PROPCNTS"},
        {"Units": "CNTS"},
        {"DecayCorrection": "NONE"},
        {"CorrectedImage": ["ATTN"]},
        {"PatientWeight": None},
        {"PatientWeight": "0"},
        {"RadionuclideTotalDose": None},
        {"RadionuclideHalfLife": "-1"},
        {"RadiopharmaceuticalStartTime": "noon"},
        {"RadiopharmaceuticalStartDateTime": "20190101000000"},
        {"AcquisitionTime": None},
        {"RadiopharmaceuticalInformationSequence": []},
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_missing_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="SUV"):
        suv_factor(pet(**changes))
    with pytest.raises(UsageError):
        suv_factor(pet(), "mass")  # type: ignore[arg-type]


def test_real_pet(shared_data: Path) -> None:
    """The formula once more, from the strings of the file, by hand."""
    archive = shared_data / "archives" / "pet_qin_headneck_0024.tar.xz"
    with tarfile.open(archive) as tar:
        member = tar.next()
        assert member is not None
        stream = tar.extractfile(member)
        assert stream is not None
        dataset = pydicom.dcmread(io.BytesIO(stream.read()))
    item = dataset.RadiopharmaceuticalInformationSequence[0]
    assert (dataset.Units, dataset.DecayCorrection) == ("BQML", "START")

    def seconds(time: str) -> float:
        return int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:])

    wait = seconds(dataset.SeriesTime) - seconds(str(item.RadiopharmaceuticalStartTime))
    dose = float(item.RadionuclideTotalDose) * 0.5 ** (wait / float(item.RadionuclideHalfLife))
    assert suv_factor(dataset) == pytest.approx(float(dataset.PatientWeight) * 1000 / dose, rel=1e-9)


def real_world(**attributes: Any) -> Dataset:
    item, outer, unit = Dataset(), Dataset(), Dataset()
    unit.CodeValue = "mm2/s"
    item.MeasurementUnitsCodeSequence = [unit]
    for name, value in attributes.items():
        setattr(item, name, value)
    outer.RealWorldValueMappingSequence = [item]
    return outer


def test_real_world_values() -> None:
    ends = {"RealWorldValueFirstValueMapped": 10, "RealWorldValueLastValueMapped": 12}
    (line,) = real_world_maps(real_world(**ends, RealWorldValueSlope=0.5, RealWorldValueIntercept=-1.0))
    stored = np.array([[9, 10], [12, 13]])
    assert np.array_equal(line.apply(stored), [[np.nan, 4.0], [5.0, np.nan]], equal_nan=True)
    assert line.unit == "mm2/s"
    (table,) = real_world_maps(real_world(**ends, RealWorldValueLUTData=[1.5, 2.5, 7.0]))
    assert np.array_equal(table.apply(stored), [[np.nan, 1.5], [7.0, np.nan]], equal_nan=True)
    shared = Dataset()
    shared.SharedFunctionalGroupsSequence = [real_world(**ends, RealWorldValueLUTData=[1.0, 2.0, 3.0])]
    assert real_world_maps(shared, 5)[0].table == (1.0, 2.0, 3.0)
    assert real_world_maps(Dataset()) == ()
    for bad in ({}, ends, {**ends, "RealWorldValueLUTData": [1.0]}, {**ends, "RealWorldValueLastValueMapped": 9}):
        with pytest.raises(DataError, match="Real World Value"):
            real_world_maps(real_world(**bad))
