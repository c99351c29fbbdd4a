"""Letters that DejaVu Sans lacks: which font draws them, what becomes of texts in the character sets of East Asia."""

from __future__ import annotations

from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
import pytest
from PIL import ImageFont
from presentation_states import encoded, grey_state, image_dataset, renamed

import hilum
from hilum.pixels.drawing import Sheet
from hilum.pixels.typefaces import OWN, fallback_fonts, letters_of, runs

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
NAME = "山田太郎"


def drawn(text: str) -> np.ndarray:
    sheet = Sheet(np.zeros((60, 400), np.uint8))
    sheet.text((5, 5), text, 30, (255, 255, 255))
    return sheet.image


@pytest.fixture
def system_font() -> Path:
    found = next((path for path in fallback_fonts() if ord(NAME[0]) in letters_of(path)), None)
    if found is None:
        pytest.skip("no font with Chinese and Japanese letters here (Debian: fonts-droid-fallback, fonts-noto-cjk)")
    return found


def test_the_letters_of_a_font_are_those_that_freetype_draws() -> None:
    """Pillow draws a letter that is missing as it draws a code point that nobody has."""
    font = ImageFont.truetype(str(OWN), 12, layout_engine=ImageFont.Layout.BASIC)

    def picture(code: int) -> bytes:
        return bytes(font.getmask(chr(code)))

    box, letters = picture(0xEFFFD), set(letters_of(OWN).tolist())
    looked_at = range(0x21, 0x3000, 7)
    missing = [code for code in looked_at if picture(code) == box]
    assert missing and not letters & set(missing)
    assert letters >= {code for code in looked_at if code not in missing}


def test_lines_are_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HILUM_FONTS", "")
    assert fallback_fonts() == ()
    assert runs("CT Ärzte Ωλ") == [(OWN, "CT Ärzte Ωλ")]
    assert runs(f"CT {NAME}") == [(OWN, f"CT {NAME}")]  # boxes


@pytest.mark.parametrize("content", [b"", b"no font", b"ttcf" + bytes(40), b"\0\1\0\0" + b"\xff" * 200])
def test_files_that_are_no_fonts_are_left_out(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "broken.ttf"
    file.write_bytes(content)
    monkeypatch.setenv("HILUM_FONTS", f"{file}:{tmp_path / 'absent.ttf'}:{OWN}")
    assert fallback_fonts() == (OWN,)
    assert len(letters_of(file)) == 0


def test_damaged_fonts_are_read_or_left_out(tmp_path: Path) -> None:
    whole, rng = OWN.read_bytes(), np.random.default_rng(3)
    for number in range(60):
        data = bytearray(whole[: rng.integers(12, 4096)] if number % 2 else whole[:200_000])
        for at in rng.integers(0, min(len(data), 2000), 8):
            data[at] = rng.integers(256)
        file = tmp_path / f"{number}.ttf"
        file.write_bytes(bytes(data))
        assert letters_of(file).dtype == np.uint32


def test_letters_of_the_system_font(system_font: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs(f"CT {NAME} Ä") == [(OWN, "CT "), (system_font, NAME), (OWN, " Ä")]
    name, other = drawn(NAME), drawn("胸部検査")
    assert not np.array_equal(name, other)
    monkeypatch.setenv("HILUM_FONTS", "")
    assert np.array_equal(drawn(NAME), drawn("胸部検査"))  # as many boxes
    assert not np.array_equal(drawn(NAME), name)


def test_a_mixed_line_is_its_pieces_side_by_side(system_font: Path) -> None:
    whole = drawn(f"MR {NAME}")
    first = drawn("MR ")
    width = round(ImageFont.truetype(str(OWN), 60).getlength("MR ") / 2)
    assert np.array_equal(whole[:, : width - 3], first[:, : width - 3])
    rows = np.nonzero(whole[:, width + 8 :].max(axis=1) > 128)[0]
    assert rows.min() >= 5 and rows.max() <= 45  # on the same line
    assert system_font.exists()


@pytest.fixture
def states() -> tuple[Dataset, dict[str, Dataset]]:
    image = image_dataset(np.zeros((120, 400), np.uint8))
    layer = hd.pr.GraphicLayer("L", 1)
    found = {}
    for name, text, character_set in (
        ("JP", NAME, ["ISO 2022 IR 6", "ISO 2022 IR 87"]),
        ("JP in Unicode", NAME, "ISO_IR 192"),
        ("GB18030", "王小东胸部", "GB18030"),
        ("GB18030 in Unicode", "王小东胸部", "ISO_IR 192"),
        ("KR", "김희중", ["ISO 2022 IR 6", "ISO 2022 IR 149"]),
        ("KR in Unicode", "김희중", "ISO_IR 192"),
    ):
        written = hd.pr.TextObject("x", "PIXEL", bounding_box=(10, 10, 390, 60))
        annotation = hd.pr.GraphicAnnotation([image], layer, text_objects=[written])
        state = renamed(
            grey_state([image], graphic_layers=[layer], graphic_annotations=[annotation]),
            "1.2.840.10008.5.1.4.1.1.11.1",
        )
        state.SpecificCharacterSet = character_set
        state.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue = text
        found[name] = state
    return image, found


def test_texts_of_east_asian_character_sets(tmp_path: Path, states: tuple[Dataset, dict[str, Dataset]]) -> None:
    """ISO 2022 IR 87, GB18030 and ISO 2022 IR 149 give the picture that UTF-8 gives."""
    image, by_name = states
    with hilum.open(tmp_path / "archive") as archive:
        for ds in (image, *by_name.values()):
            archive.store(encoded(ds))
        found = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
        shown = {
            name: found[image.SOPInstanceUID].render_array(presentation_state=found[state.SOPInstanceUID])
            for name, state in by_name.items()
        }
    for name in ("JP", "GB18030", "KR"):
        assert shown[name].max() > 128
        assert np.array_equal(shown[name], shown[f"{name} in Unicode"])
    assert not np.array_equal(shown["JP"], shown["GB18030"])


def test_names_without_letters_of_latin_are_written_in_the_next_group() -> None:
    from hilum.pixels.legends import patient_lines

    ds = image_dataset(np.zeros((4, 4), np.uint8))
    ds.SpecificCharacterSet = "ISO_IR 192"
    for name, line in (("=山田^太郎=やまだ^たろう", "山田, 太郎"), ("Yamada^Tarou=山田^太郎", "Yamada, Tarou")):
        ds.PatientName = name
        assert patient_lines(ds)[0] == line
