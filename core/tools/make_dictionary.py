"""Write core/src/dicom/dictionary.inc: tag and VR of every element of PS3.6, out of pydicom's dictionary.

Run from the repository's root: ``python core/tools/make_dictionary.py``.
"""

from __future__ import annotations

from pathlib import Path

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

SEVERAL = {"OB or OW": "ox", "US or SS": "xs", "US or OW": "xw", "US or SS or OW": "xw", "NONE": "none"}
TARGET = Path(__file__).parent.parent / "src" / "dicom" / "dictionary.inc"


def mask_and_value(pattern: str) -> tuple[int, int]:
    """``60xx3000`` as the mask and the value that (tag & mask) has to have."""
    mask = int("".join("0" if c == "x" else "F" for c in pattern), 16)
    return mask, int(pattern.replace("x", "0"), 16)


def main() -> None:
    plain = sorted((tag, SEVERAL.get(entry[0], entry[0])) for tag, entry in DicomDictionary.items())
    plain = [(tag, vr) for tag, vr in plain if vr != "none"]
    vrs = sorted({vr for _, vr in plain} | {SEVERAL.get(entry[0], entry[0]) for entry in RepeatersDictionary.values()})
    lines = ["// Written by core/tools/make_dictionary.py. Do not edit."]
    lines.append("constexpr Vr kVrs[] = {" + ", ".join(f"Vr::{vr}" for vr in vrs) + "};")
    lines.append("constexpr std::uint32_t kTags[] = {")
    lines += wrap([f"0x{tag:08X}" for tag, _ in plain])
    lines += ["};", "constexpr std::uint8_t kVrOfTag[] = {"]
    lines += wrap([str(vrs.index(vr)) for _, vr in plain])
    lines += ["};", "constexpr Repeater kRepeaters[] = {"]
    for pattern, entry in sorted(RepeatersDictionary.items()):
        mask, value = mask_and_value(pattern)
        lines.append(f"    {{0x{mask:08X}, 0x{value:08X}, Vr::{SEVERAL.get(entry[0], entry[0])}}},")
    lines.append("};")
    TARGET.write_text("\n".join(lines) + "\n")


def wrap(words: list[str], width: int = 118) -> list[str]:
    """Words separated by commas, in lines of at most ``width`` characters."""
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > width:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return [*lines, line]


if __name__ == "__main__":
    main()
