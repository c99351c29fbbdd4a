// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "hilum/index/attributes.hpp"
#include "hilum/index/fold.hpp"
#include "hilum/index/match.hpp"
#include "hilum/index/postings.hpp"
#include "hilum/index/qido_json.hpp"
#include "hilum/index/record.hpp"

using namespace hilum;
using namespace hilum::index;

namespace {

std::string attribute(std::uint32_t tag, const char* vr, std::string_view value) {
    std::string out;
    for (unsigned i = 0; i < 4; ++i) {
        out.push_back(static_cast<char>(tag >> (8 * i) & 0xFFU));
    }
    out.append(vr, 2);
    out.push_back(static_cast<char>(value.size() & 0xFFU));
    out.push_back(static_cast<char>(value.size() >> 8U));
    out.append(value);
    return out;
}

std::string item(std::string_view list) {
    std::string out{static_cast<char>(list.size() & 0xFFU), static_cast<char>(list.size() >> 8U)};
    return out.append(list);
}

std::span<const std::byte> bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

bool matches(const Condition& condition, const std::string& list) {
    const Matcher matcher(std::vector<Condition>{condition});
    return matcher.matches({bytes(list)});
}

Condition any_of(std::uint32_t tag, Comparison comparison, std::vector<std::string> values) {
    Condition out;
    out.comparison = comparison;
    out.tag = tag;
    out.values = std::move(values);
    return out;
}

std::size_t walk(std::string_view list) {
    AttributeCursor cursor(list);
    Attribute found;
    std::size_t count = 0;
    while (cursor.next(found)) {
        ++count;
    }
    return count;
}

constexpr std::uint32_t kName = 0x00100010;
constexpr std::uint32_t kDate = 0x00080020;
constexpr std::uint32_t kTime = 0x00080030;

}  // namespace

HILUM_TEST("a list is walked, and refused wherever it is cut or out of order", {
    const std::string list = attribute(kDate, "DA", "20240101") + attribute(kName, "PN", "A^B");
    HILUM_CHECK(walk(list) == 2);
    for (std::size_t size = 1; size < list.size(); ++size) {
        if (size != 16) {
            HILUM_CHECK_THROWS(Errc::bad_record, walk(std::string_view(list).substr(0, size)));
        }
    }
    HILUM_CHECK_THROWS(Errc::bad_record, walk(attribute(kName, "PN", "A") + attribute(kDate, "DA", "")));
    HILUM_CHECK_THROWS(Errc::bad_record, walk(attribute(kName, "PN", "A") + attribute(kName, "PN", "B")));
    HILUM_CHECK(find_attribute(bytes(list), kName)->value == "A^B");
    HILUM_CHECK(!find_attribute(bytes(list), kTime));
});

HILUM_TEST("folding removes case, accents and width, and keeps what is not an accent", {
    HILUM_CHECK(fold("MÜLLER") == "muller");
    HILUM_CHECK(fold("Łukasz Sørensen Æ ß") == "lukasz sorensen ae ss");
    HILUM_CHECK(fold("ＡＢＣ") == "abc");
    HILUM_CHECK(fold("Иванов") == "иванов");
    HILUM_CHECK(fold("山田") == "山田");
    HILUM_CHECK(fold("が") != fold("か"));
    HILUM_CHECK(fold("＊？") == "＊？");
    const std::string stray = "a\xC3\x28\xFF";
    HILUM_CHECK(fold(stray) == stray);
    HILUM_CHECK(fold_name_group(" Smith ^ John ^^ ") == "smith^john");
});

HILUM_TEST("soundex as published", {
    HILUM_CHECK(soundex("robert") == "r163" && soundex("rupert") == "r163");
    HILUM_CHECK(soundex("ashcraft") == "a261");
    HILUM_CHECK(soundex("tymczak") == "t522");
    HILUM_CHECK(soundex("pfister") == "p236");
    HILUM_CHECK(soundex("lee") == "l000");
    HILUM_CHECK(soundex("山").empty() && soundex("").empty());
});

HILUM_TEST("wildcards", {
    HILUM_CHECK(wildcard_match("", "*") && wildcard_match("abc", "a*c") && wildcard_match("abc", "a?c"));
    HILUM_CHECK(!wildcard_match("abc", "a?") && !wildcard_match("abc", "?") && !wildcard_match("", "?"));
    HILUM_CHECK(wildcard_match("aXbXc", "*X*c") && wildcard_match("äö", "??") && !wildcard_match("ä", "??"));
    HILUM_CHECK(!wildcard_match(std::string(2000, 'a'), "*a*a*a*a*a*a*a*b"));
});

HILUM_TEST("dates and times are intervals", {
    HILUM_CHECK(instant("20240229", TimeKind::date, false) < instant("20240301", TimeKind::date, false));
    HILUM_CHECK(instant("2024.02.29", TimeKind::date, false) == instant("20240229", TimeKind::date, false));
    HILUM_CHECK(!instant("20241301", TimeKind::date, false) && !instant("2024", TimeKind::date, false));
    HILUM_CHECK(*instant("10", TimeKind::time, true) == 11 * 3'600'000'000LL - 1);
    HILUM_CHECK(*instant("103000.5", TimeKind::time, false) == (10 * 3600 + 1800) * 1'000'000LL + 500'000);
    HILUM_CHECK(!instant("2400", TimeKind::time, false) && !instant("1", TimeKind::time, false));
    HILUM_CHECK(!instant("", TimeKind::date, false) && !instant("1030.5", TimeKind::time, false));
    HILUM_CHECK(instant("20240101120000+0200", TimeKind::date_time, false) ==
                instant("20240101100000", TimeKind::date_time, false));
    HILUM_CHECK(*instant("2023", TimeKind::date_time, true) + 1 == *instant("2024", TimeKind::date_time, false));
});

HILUM_TEST("names match without case and accents, in any group, and group by group", {
    const std::string list = attribute(kName, "PN", "Yamada^Tarou=山田^太郎");
    HILUM_CHECK(matches(any_of(kName, Comparison::person, {"YAMADA^TAROU"}), list));
    HILUM_CHECK(matches(any_of(kName, Comparison::person, {"山*"}), list));
    HILUM_CHECK(matches(any_of(kName, Comparison::person, {"=山田*"}), list));
    HILUM_CHECK(!matches(any_of(kName, Comparison::person, {"山田*="}), list));
    HILUM_CHECK(!matches(any_of(kName, Comparison::person, {"Yamada"}), list));
    HILUM_CHECK(matches(any_of(kName, Comparison::person, {"X", "Yam?da^*"}), list));
    HILUM_CHECK(matches(any_of(kName, Comparison::person, {"Smith^*"}), attribute(kName, "PN", "Smith")));
});

HILUM_TEST("ranges, combined and empty", {
    const std::string list = attribute(kDate, "DA", "20240102") + attribute(kTime, "TM", "1030");
    Condition range;
    range.operation = Operation::range;
    range.comparison = Comparison::date;
    range.tag = kDate;
    range.low = "20240102";
    HILUM_CHECK(matches(range, list));
    range.high = "20240101";
    HILUM_CHECK(!matches(range, list));
    Condition both;
    both.operation = Operation::combined;
    both.comparison = Comparison::date;
    both.tag = kDate;
    both.second_tag = kTime;
    both.values = {"20240101", "20240102", "1200", "1030"};
    HILUM_CHECK(matches(both, list));
    both.values = {"20240101", "20240102", "1200", "1029"};
    HILUM_CHECK(!matches(both, list));
    Condition empty;
    empty.operation = Operation::empty;
    empty.tag = kName;
    HILUM_CHECK(matches(empty, list));
    empty.tag = kDate;
    HILUM_CHECK(!matches(empty, list));
    range.high = "garbage";
    HILUM_CHECK_THROWS(Errc::bad_value, matches(range, list));
});

HILUM_TEST("keys of one sequence meet in one item", {
    const std::string list = attribute(0x00400275, "SQ",
                                       item(attribute(0x00400009, "SH", "S1") + attribute(0x00401001, "SH", "R1")) +
                                           item(attribute(0x00400009, "SH", "S2") + attribute(0x00401001, "SH", "R2")));
    Condition sequence;
    sequence.operation = Operation::sequence;
    sequence.tag = 0x00400275;
    sequence.children = {any_of(0x00400009, Comparison::text, {"S1"}), any_of(0x00401001, Comparison::text, {"R1"})};
    HILUM_CHECK(matches(sequence, list));
    sequence.children[1].values = {"R2"};
    HILUM_CHECK(!matches(sequence, list));
});

HILUM_TEST("match keys of a name", {
    const PostingRule rule{{kName}, 2, true, true, true, true};
    const std::string list = attribute(kName, "PN", "Li^Wei");
    const auto keys = posting_keys(std::span(&rule, 1), 2, {bytes(list)});
    const auto has = [&](PostingKind kind, std::string_view value) {
        return std::find(keys.begin(), keys.end(), posting_key(2, kName, kind, value)) != keys.end();
    };
    HILUM_CHECK(has(PostingKind::value, "li^wei") && has(PostingKind::word, "wei"));
    HILUM_CHECK(has(PostingKind::prefix, "l") && has(PostingKind::prefix, "li^") && has(PostingKind::gram, "^we"));
    HILUM_CHECK(has(PostingKind::sound, "w000"));
    HILUM_CHECK(posting_keys(std::span(&rule, 1), 1, {bytes(list)}).empty());
    HILUM_CHECK(posting_keys(std::span(&rule, 1), 2, {}).size() == 1);
    PostingRule plain = rule;
    plain.prefixes = plain.grams = plain.words = false;
    HILUM_CHECK(posting_keys(std::span(&plain, 1), 2, {bytes(list)}) ==
                std::vector<std::string>{posting_key(2, kName, PostingKind::value, "li^wei")});
});

HILUM_TEST("match keys of a batch are sorted by key and order, each once", {
    const PostingRule rule{{kName}, 2, true, true, true, true};
    const std::vector<std::string> names{"Li^Wei", "L", "Lindqvist Bergstrom^Anna", "Li^Wei", "Li^Wei"};
    const std::vector<std::string> orders{"2", "1", "3", "1", "2"};
    std::vector<std::string> lists;
    for (const std::string& name : names) {
        lists.push_back(attribute(kName, "PN", name));
    }
    std::vector<PostedEntity> entities;
    std::vector<std::pair<std::string, std::string>> expected;
    for (std::size_t i = 0; i < names.size(); ++i) {
        entities.push_back({orders[i], 2, {bytes(lists[i])}});
        for (const std::string& key : posting_keys(std::span(&rule, 1), 2, {bytes(lists[i])})) {
            expected.emplace_back(key, orders[i]);
        }
    }
    std::sort(expected.begin(), expected.end());
    expected.erase(std::unique(expected.begin(), expected.end()), expected.end());
    const PostingBatch batch(std::span(&rule, 1), entities);
    HILUM_CHECK(batch.size() == expected.size());
    for (std::size_t i = 0; i < std::min(batch.size(), expected.size()); ++i) {
        HILUM_CHECK(batch.key(i) == expected[i].first && orders[batch.entity(i)] == expected[i].second);
    }
});

HILUM_TEST("a record with a changed bit, key or database is refused", {
    const std::string sealed = seal_record(5, bytes("key"), bytes("body of the record"));
    check_record(5, "instance", bytes("key"), bytes(sealed));
    HILUM_CHECK_THROWS(Errc::bad_record, check_record(4, "series", bytes("key"), bytes(sealed)));
    HILUM_CHECK_THROWS(Errc::bad_record, check_record(5, "instance", bytes("kex"), bytes(sealed)));
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
        std::string flipped = sealed;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        HILUM_CHECK_THROWS(Errc::bad_record, check_record(5, "instance", bytes("key"), bytes(flipped)));
    }
    for (std::size_t size = 0; size < sealed.size(); ++size) {
        HILUM_CHECK_THROWS(Errc::bad_record, RecordView(bytes(sealed).first(size)));
    }
});

HILUM_TEST("merging takes the first value that is not empty", {
    const std::string a = attribute(kDate, "DA", "") + attribute(kName, "PN", "A");
    const std::string b = attribute(kDate, "DA", "20240101") + attribute(kTime, "TM", "");
    const std::string merged = merge_attributes({bytes(a), bytes(b)});
    HILUM_CHECK(merged ==
                attribute(kDate, "DA", "20240101") + attribute(kTime, "TM", "") + attribute(kName, "PN", "A"));
    const std::vector<std::uint32_t> tags{kDate};
    HILUM_CHECK(select_attributes(bytes(merged), tags) == attribute(kDate, "DA", "20240101"));
});

HILUM_TEST("JSON of every kind of value", {
    const std::string list = attribute(0x00080005, "CS", "A\\\\B") + attribute(0x00081030, "LO", "q\"\\\x01\xFF") +
                             attribute(kName, "PN", "A^B=C") + attribute(0x00101030, "DS", "+01.50\\.5\\5.\\1e3\\x") +
                             attribute(0x00200013, "IS", "007") + attribute(0x00280010, "US", "512") +
                             attribute(0x00400275, "SQ", item("") + item(attribute(kDate, "DA", "")));
    std::string out;
    write_object(bytes(list), out);
    HILUM_CHECK(
        out == R"({"00080005":{"vr":"CS","Value":["A",null,"B"]},)"
               R"("00081030":{"vr":"LO","Value":["q\"","\u0001)"
               "\xEF\xBF\xBD"
               R"("]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B","Ideographic":"C"}]},)"
               R"("00101030":{"vr":"DS","Value":[1.50,0.5,5,1e3,"x"]},"00200013":{"vr":"IS","Value":[7]},)"
               R"("00280010":{"vr":"US","Value":[512]},"00400275":{"vr":"SQ","Value":[{},{"00080020":{"vr":"DA"}}]}})");
});

HILUM_TEST_MAIN
