"""Write core/src/index/fold_table.inc: what each character of the BMP folds to when names are compared.

``fold(c)`` is NFKD and case folding until nothing changes, without the diacritics of Latin, Greek, Cyrillic, Hebrew and
Arabic, plus the letters that Unicode does not decompose (``ø`` to ``o``, ``ł`` to ``l``, ``æ`` to ``ae``, ...). Hangul
syllables stay whole; Japanese voiced sound marks and the vowel signs of Indic scripts are kept, they are not accents.

Run ``python core/tools/make_fold_table.py > core/src/index/fold_table.inc``.
"""

from __future__ import annotations

import sys
import unicodedata

UNDECOMPOSED = {
    "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i", "ŧ": "t", "ħ": "h", "ŋ": "n",
    "ĸ": "k", "ƒ": "f", "ɨ": "i", "ʉ": "u", "ɓ": "b", "ɗ": "d", "ɠ": "g", "ƙ": "k", "ƴ": "y", "ə": "e",
    "’": "'", "‘": "'", "ʼ": "'", "‐": "-", "‑": "-", "–": "-", "—": "-",
}  # fmt: skip
STRIPPED = [(0x0300, 0x036F), (0x0591, 0x05BD), (0x05BF, 0x05C2), (0x05C4, 0x05C5), (0x064B, 0x0655), (0x0670, 0x0670)]
DELIMITERS = set("^=\\\\*?")  # full-width forms of these stay as they are: they delimit nothing
HANGUL = range(0xAC00, 0xD7A4)


def is_stripped(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in STRIPPED)


def fold(text: str) -> str:
    """The definition; the table is made from it and the tests compare with it."""
    previous = None
    while text != previous:
        previous = text
        parts = [c if ord(c) in HANGUL else unicodedata.normalize("NFKD", c) for c in text]
        text = "".join(UNDECOMPOSED.get(c, c) for c in "".join(parts).casefold() if not is_stripped(c))
    return text


def main() -> None:
    pool = bytearray()
    known: dict[bytes, int] = {}
    rows = []
    for code in (*range(0x80, 0xD800), *range(0xE000, 0x10000)):
        folded = fold(chr(code))
        if folded == chr(code) or set(folded) & DELIMITERS:
            continue
        raw = folded.encode()
        if raw not in known:
            at = pool.find(raw)
            if at < 0:
                at = len(pool)
                pool += raw
            known[raw] = at
        rows.append((code, known[raw], len(raw)))
    out = sys.stdout
    out.write(
        "// Made by core/tools/make_fold_table.py from Unicode " + unicodedata.unidata_version + ". Do not edit.\n"
    )
    out.write("// {code point, offset in kFoldPool, length in bytes}, ascending.\n")
    out.write(f"constexpr FoldRow kFoldRows[{len(rows)}] = {{\n")
    for i in range(0, len(rows), 9):
        out.write("    " + "".join(f"{{{c},{o},{n}}}," for c, o, n in rows[i : i + 9]) + "\n")
    out.write("};\n")
    out.write(f"constexpr unsigned char kFoldPool[{len(pool)}] = {{\n")
    for i in range(0, len(pool), 40):
        out.write("    " + "".join(f"{b}," for b in pool[i : i + 40]) + "\n")
    out.write("};\n")


if __name__ == "__main__":
    main()
