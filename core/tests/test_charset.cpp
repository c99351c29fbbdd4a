// SPDX-License-Identifier: Apache-2.0
// Names of the PS3.5 annexes H to K, resets, misspelt terms, bytes that mean nothing.
#include "hilum/dicom/charset.hpp"

#include <random>
#include <string>
#include <string_view>

#include "check.hpp"

using hilum::dicom::CharacterSet;
using hilum::dicom::parse_character_set;
using hilum::dicom::TextKind;

namespace {

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

std::string decode(std::string_view raw, std::string_view terms, TextKind kind = TextKind::person_name) {
    return hilum::dicom::to_utf8(bytes(raw), parse_character_set(terms), kind);
}

bool clean(std::string_view raw, std::string_view terms) {
    std::string out;
    return hilum::dicom::append_utf8(out, bytes(raw), parse_character_set(terms), TextKind::values);
}

}  // namespace

HILUM_TEST("single-byte sets, PS3.3 Table C.12-2", {
    HILUM_CHECK(decode("Buc^J\xe9r\xf4me", "ISO_IR 100") == "Buc^Jérôme");
    HILUM_CHECK(decode("W\xb1\xf3", "ISO_IR 101") == "Wąó");
    HILUM_CHECK(decode("\xbb", "ISO_IR 109") == "ğ");
    HILUM_CHECK(decode("\xa2", "ISO_IR 110") == "ĸ");
    HILUM_CHECK(decode("\xbb\xee\xda", "ISO_IR 144") == "Люк");
    HILUM_CHECK(decode("\xe2\xc7", "ISO_IR 127") == "قا");
    HILUM_CHECK(decode("\xc4\xe9\xef\xed", "ISO_IR 126") == "Διον");
    HILUM_CHECK(decode("\xf9\xf8", "ISO_IR 138") == "שר");
    HILUM_CHECK(decode("\xfe", "ISO_IR 148") == "ş");
    HILUM_CHECK(decode("\xa1\xd2", "ISO_IR 166") == "กา");
    HILUM_CHECK(decode("\xa4", "ISO_IR 203") == "€");
    HILUM_CHECK(decode("\xd4\xcf\xc0\xde", "ISO_IR 13") == "ﾔﾏﾀﾞ");
    HILUM_CHECK(decode("\xd2", "ISO_IR 126") == "\xEF\xBF\xBD");
});

HILUM_TEST("Japanese, PS3.5 H.3", {
    const std::string kanji = "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
    HILUM_CHECK(decode(kanji, "\\ISO 2022 IR 87") == "Yamada^Tarou=山田^太郎=やまだ^たろう");
    const std::string kana = "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J";
    HILUM_CHECK(decode(kana, "ISO 2022 IR 13\\ISO 2022 IR 87") == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎");
    HILUM_CHECK(decode("\x1b$(D\x22\x37\x1b(B", "\\ISO 2022 IR 159") == "~");
    // 5C and 5E inside two-byte characters are no separators.
    HILUM_CHECK(decode("\x1b$B\x30\x5c\x30\x5e\x1b(B", "\\ISO 2022 IR 87", TextKind::values).find('\\') ==
                std::string::npos);
    HILUM_CHECK(decode("\x95\x5c", "ISO_IR 13") == "表");
});

HILUM_TEST("ISO-IR 14 has a yen sign and an overline, but 5C still separates values", {
    HILUM_CHECK(decode("a\\b~", "ISO_IR 13", TextKind::text) == "a¥b‾");
    HILUM_CHECK(decode("a\\b~", "ISO_IR 13", TextKind::values) == "a\\b‾");
    HILUM_CHECK(decode("\x1b(Ja\\b\x1b(B\\", "\\ISO 2022 IR 87", TextKind::text) == "a¥b\\");
});

HILUM_TEST("Korean, PS3.5 I.2", {
    const std::string name =
        "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
    HILUM_CHECK(decode(name, "\\ISO 2022 IR 149") == "Hong^Gildong=洪^吉洞=홍^길동");
    // Written without escapes: the only extension is meant.
    HILUM_CHECK(decode("\xc8\xab^\xb1\xe6\xb5\xbf", "\\ISO 2022 IR 149") == "홍^길동");
    HILUM_CHECK(decode("\xc8\xab^\xb1\xe6\xb5\xbf", "ISO 2022 IR 149") == "홍^길동");
});

HILUM_TEST("Chinese, PS3.5 J and K", {
    HILUM_CHECK(decode("Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe4\xb8\x9c", "ISO_IR 192") == "Wang^XiaoDong=王^小东");
    HILUM_CHECK(decode("Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "GB18030") == "Wang^XiaoDong=王^小东");
    HILUM_CHECK(decode("Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "GBK") == "Wang^XiaoDong=王^小东");
    HILUM_CHECK(decode("Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "\\ISO 2022 IR 58") ==
                "Zhang^XiaoDong=张^小东=");
    HILUM_CHECK(decode("\x81\x5c", "GBK").find('\\') == std::string::npos);
    HILUM_CHECK(decode("\x81\x30\x81\x30", "GB18030") == "\xc2\x80");
    HILUM_CHECK(decode("\x90\x30\x81\x30", "GB18030") == "\xf0\x90\x80\x80");
    HILUM_CHECK(decode("\xe3\x32\x9a\x35", "GB18030") == "\xf4\x8f\xbf\xbf");
    HILUM_CHECK(decode("\xe3\x32\x9a\x36", "GB18030").starts_with("\xEF\xBF\xBD"));
});

HILUM_TEST("extensions end at control characters and separators, PS3.5 6.1.2.5.3", {
    const std::string_view terms = "ISO_IR 100\\ISO 2022 IR 144";
    const std::string cyrillic = "\x1b-L\xbb";
    HILUM_CHECK(decode(cyrillic + "\xbb", terms, TextKind::text) == "ЛЛ");
    HILUM_CHECK(decode(cyrillic + "\r\n\xbb", terms, TextKind::text) == "Л\r\n»");
    HILUM_CHECK(decode(cyrillic + "\\\xbb", terms, TextKind::values) == "Л\\»");
    HILUM_CHECK(decode(cyrillic + "\\\xbb", terms, TextKind::text) == "Л\\Л");
    HILUM_CHECK(decode(cyrillic + "^\xbb", terms, TextKind::person_name) == "Л^»");
    HILUM_CHECK(decode(cyrillic + "^\xbb", terms, TextKind::values) == "Л^Л");
    HILUM_CHECK(decode(cyrillic + "=\xbb", terms, TextKind::person_name) == "Л=»");
});

HILUM_TEST("terms: misspelt, misplaced, unknown", {
    const CharacterSet latin1 = parse_character_set("ISO_IR 100");
    HILUM_CHECK(!latin1.misspelt && !latin1.unknown);
    for (const char* text : {"ISO-IR 100", "ISO_IR_100", "ISO IR 100", "iso_ir 100", "ISO_IR100", "ISO8859-1"}) {
        const CharacterSet cs = parse_character_set(text);
        HILUM_CHECK(cs.g1 == latin1.g1 && cs.misspelt && !cs.unknown);
    }
    HILUM_CHECK(parse_character_set("ISO 2022 IR 100 ") == latin1);
    HILUM_CHECK(parse_character_set("ISO_IR 192\\ISO 2022 IR 87").ignored);
    HILUM_CHECK(parse_character_set("ISO_IR 192\\ISO 2022 IR 87").coding == CharacterSet::Coding::utf8);
    HILUM_CHECK(parse_character_set("ISO_IR 100\\GB18030").ignored);
    HILUM_CHECK(parse_character_set("ISO_IR 1000").unknown);
    HILUM_CHECK(parse_character_set("nothing like it, and too long for any term").unknown);
    HILUM_CHECK(parse_character_set("") == CharacterSet{});
    HILUM_CHECK(parse_character_set("\\\\\\") == CharacterSet{});
    HILUM_CHECK(decode("J\xc3\xa9r\xc3\xb4me", "nonsense") == "Jérôme");
    HILUM_CHECK(decode("J\xe9r\xf4me", "nonsense") == "Jérôme");
    HILUM_CHECK(decode("J\xe9r\xf4me", "") == "Jérôme");
});

HILUM_TEST("what cannot be decoded is replaced and reported", {
    HILUM_CHECK(clean("plain", "ISO_IR 192"));
    HILUM_CHECK(clean("J\xe9", "ISO_IR 100"));
    HILUM_CHECK(!clean("J\xe9", "ISO_IR 192"));
    HILUM_CHECK(!clean("\x1b%Gx", "ISO_IR 100"));
    HILUM_CHECK(decode("a\xf0\x9f\x98z", "ISO_IR 192") == "a\xEF\xBF\xBDz");
    HILUM_CHECK(decode("a\xed\xa0\x80z", "ISO_IR 192") == "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
    HILUM_CHECK(decode("a\xc3", "ISO_IR 192") == "a\xEF\xBF\xBD");
    HILUM_CHECK(decode("\x81", "GB18030") == "\xEF\xBF\xBD");
    HILUM_CHECK(decode("\x1b$B\x30", "\\ISO 2022 IR 87") == "\xEF\xBF\xBD");
});

HILUM_TEST("any bytes under any terms give valid UTF-8", {
    std::mt19937 random(20260101);
    const char* const terms[] = {"",           "ISO_IR 13",        "ISO_IR 192",        "GB18030",
                                 "ISO_IR 166", "\\ISO 2022 IR 87", "\\ISO 2022 IR 149", "ISO_IR 100\\ISO 2022 IR 58"};
    for (int round = 0; round < 20000; ++round) {
        std::string raw(random() % 24, '\0');
        for (char& c : raw) {
            const unsigned choice = random() % 8;
            c = choice == 0 ? '\x1b' : choice == 1 ? "$()-ABCDIJGT"[random() % 12] : static_cast<char>(random());
        }
        const std::string out = decode(raw, terms[random() % 8], static_cast<TextKind>(random() % 3));
        HILUM_CHECK(hilum::dicom::is_valid_utf8(out));
    }
});

HILUM_TEST("prefixes", {
    HILUM_CHECK(hilum::dicom::utf8_prefix("aé", 2) == 1);
    HILUM_CHECK(hilum::dicom::utf8_prefix("aé", 3) == 3);
    HILUM_CHECK(hilum::dicom::utf8_prefix("日本", 5) == 3);
    const std::string ascii(37, 'x');
    for (std::size_t i = 0; i < ascii.size(); ++i) {
        std::string text = ascii;
        text[i] = '\x1b';
        HILUM_CHECK(hilum::dicom::plain_prefix(text) == i);
        text[i] = '\x80';
        HILUM_CHECK(hilum::dicom::plain_prefix(text) == i);
        text[i] = '\x1a';
        HILUM_CHECK(hilum::dicom::plain_prefix(text) == text.size());
    }
});

HILUM_TEST_MAIN
