// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/postings.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "hilum/error.hpp"
#include "hilum/index/attributes.hpp"
#include "hilum/index/fold.hpp"

namespace hilum::index {
namespace {

/// Adds the keys of one rule.
class Poster {
public:
    Poster(const PostingRule& rule, std::vector<std::string>& out) : rule_(rule), out_(out) {}

    void post(const std::vector<std::span<const std::byte>>& lists) {
        for (const auto& list : lists) {
            const std::string_view text(reinterpret_cast<const char*>(list.data()), list.size());
            walk(text, 0);
        }
        if (!any_) {
            add(PostingKind::value, {});
        }
    }

private:
    void walk(std::string_view list, std::size_t depth) {
        AttributeCursor cursor(list);
        Attribute attribute;
        while (cursor.next(attribute) && attribute.tag <= rule_.path[depth]) {
            if (attribute.tag != rule_.path[depth]) {
                continue;
            }
            if (depth + 1 == rule_.path.size()) {
                post_values(attribute);
                return;
            }
            ItemCursor items(attribute.value);
            std::string_view item;
            while (attribute.is("SQ") && items.next(item)) {
                walk(item, depth + 1);
            }
            return;
        }
    }

    void post_values(const Attribute& attribute) {
        ValueCursor values(attribute.value, is_multiple(attribute.vr));
        std::string_view value;
        while (values.next(value)) {
            if (!rule_.person) {
                std::string comparable = posted_value(value, false);
                if (attribute.is("DA")) {
                    std::erase_if(comparable, [](char c) { return c == '.' || c == '-'; });
                }
                post_value(comparable);
                continue;
            }
            std::size_t start = 0;
            while (start <= value.size()) {
                const std::size_t end = std::min(value.find('=', start), value.size());
                post_value(posted_value(value.substr(start, end - start), true));
                start = end + 1;
            }
        }
    }

    void post_value(const std::string& value) {
        if (value.empty()) {
            return;
        }
        any_ = true;
        add(PostingKind::value, value);
        if (rule_.prefixes) {
            std::string_view last;
            for (std::size_t n = 1; n <= kPrefixCharacters; ++n) {
                const std::string_view prefix = first_characters(value, n);
                if (prefix.size() > last.size()) {
                    add(PostingKind::prefix, prefix);
                }
                last = prefix;
            }
        }
        if (rule_.grams) {
            for (const std::string_view gram : grams(value)) {
                add(PostingKind::gram, gram);
            }
        }
        if (rule_.words) {
            post_name(value);
        }
    }

    void post_name(std::string_view name) {
        for (const std::string_view word : name_words(name)) {
            add(PostingKind::word, word);
            const std::string sound = soundex(word);
            if (!sound.empty()) {
                add(PostingKind::sound, sound);
            }
        }
    }

    void add(PostingKind kind, std::string_view value) {
        out_.push_back(posting_key(rule_.level, rule_.path.back(), kind, value));
    }

    const PostingRule& rule_;
    std::vector<std::string>& out_;
    bool any_ = false;
};

/// Place of each entity's order key among all of them; equal order keys have one place.
std::vector<std::uint32_t> places_of(const std::vector<PostedEntity>& entities) {
    std::vector<std::uint32_t> sorted(entities.size());
    std::iota(sorted.begin(), sorted.end(), 0U);
    std::sort(sorted.begin(), sorted.end(),
              [&](std::uint32_t a, std::uint32_t b) { return entities[a].order < entities[b].order; });
    std::vector<std::uint32_t> places(entities.size());
    std::uint32_t place = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        if (i > 0 && entities[sorted[i]].order != entities[sorted[i - 1]].order) {
            ++place;
        }
        places[sorted[i]] = place;
    }
    return places;
}

/// Eight bytes of a key as a number that sorts like them; zeros behind its end.
std::uint64_t big_endian(std::string_view key, std::size_t at) {
    std::uint64_t out = 0;
    for (std::size_t i = at; i < at + 8; ++i) {
        out = out << 8U | (i < key.size() ? static_cast<unsigned char>(key[i]) : 0U);
    }
    return out;
}

struct Posted {
    std::uint8_t level;
    std::uint32_t tag;
    bool uid;  ///< has UIDs, without wildcards and ranges: two characters to a byte
};

/// Attributes by the first byte of their match keys, from 1 on. Part of the format: append, never change or remove.
constexpr Posted kPosted[] = {
    {2, 0x00100010, false},  // PatientName
    {2, 0x00100020, false},  // PatientID
    {2, 0x00100030, false},  // PatientBirthDate
    {2, 0x00101000, false},  // OtherPatientIDs
    {2, 0x00080050, false},  // AccessionNumber
    {2, 0x00080090, false},  // ReferringPhysicianName
    {2, 0x00200010, false},  // StudyID
    {2, 0x00081030, false},  // StudyDescription
    {2, 0x00080061, false},  // ModalitiesInStudy
    {2, 0x00080062, true},   // SOPClassesInStudy
    {3, 0x00180015, false},  // BodyPartExamined
    {3, 0x00400009, false},  // ScheduledProcedureStepID
    {3, 0x00401001, false},  // RequestedProcedureID
    {3, 0x00200052, true},   // FrameOfReferenceUID
};
constexpr std::uint8_t kOtherAttribute = 0xFF;

/// Two characters of digits and dots to a byte that is never 0.
void append_uid(std::string_view uid, std::string& out) {
    const auto code = [](char c) { return c == '.' ? 11U : static_cast<unsigned>(c - '0') + 1U; };
    for (std::size_t i = 0; i < uid.size(); i += 2) {
        out.push_back(static_cast<char>(code(uid[i]) << 4U | (i + 1 < uid.size() ? code(uid[i + 1]) : 0U)));
    }
}

}  // namespace

std::string posting_key(std::uint8_t level, std::uint32_t tag, PostingKind kind, std::string_view value) {
    value = value.substr(0, kMaxPostedBytes);
    std::string key;
    key.reserve(7 + value.size());
    const auto* at = std::find_if(std::begin(kPosted), std::end(kPosted),
                                  [&](const Posted& p) { return p.tag == tag && p.level == level; });
    if (at != std::end(kPosted)) {
        key.push_back(static_cast<char>(at - std::begin(kPosted) + 1));
    } else {
        key.push_back(static_cast<char>(kOtherAttribute));
        key.push_back(static_cast<char>(level));
        for (int shift = 24; shift >= 0; shift -= 8) {
            key.push_back(static_cast<char>(tag >> shift & 0xFFU));
        }
    }
    key.push_back(static_cast<char>(kind));
    if (at != std::end(kPosted) && at->uid && value.find_first_not_of("0123456789.") == std::string_view::npos) {
        append_uid(value, key);
        return key;
    }
    key.append(value);
    std::replace(key.end() - static_cast<std::ptrdiff_t>(value.size()), key.end(), '\0', '\1');  // ends a match key
    return key;
}

std::string posted_value(std::string_view value, bool person) {
    return person ? fold_name_group(value) : fold(trim(value));
}

std::string_view first_characters(std::string_view text, std::size_t count) noexcept {
    std::size_t at = 0;
    while (count-- > 0 && at < text.size()) {
        at += character_length(text.substr(at));
    }
    return text.substr(0, at);
}

std::vector<std::string_view> grams(std::string_view text) {
    std::vector<std::string_view> out;
    std::size_t start = 0;
    while (start < text.size()) {
        const std::string_view gram = first_characters(text.substr(start), kGramCharacters);
        if (first_characters(gram, kGramCharacters - 1).size() == gram.size()) {
            break;  // fewer than three are left
        }
        out.push_back(gram);
        start += character_length(text.substr(start));
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

PostingBatch::PostingBatch(std::span<const PostingRule> rules, const std::vector<PostedEntity>& entities) {
    if (entities.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw Error(Errc::limit_exceeded, "too many entities in one batch of match keys");
    }
    const std::vector<std::uint32_t> places = places_of(entities);
    for (std::size_t i = 0; i < entities.size(); ++i) {
        for (const std::string& key : posting_keys(rules, entities[i].level, entities[i].lists)) {
            pairs_.push_back({big_endian(key, 0), big_endian(key, 8), keys_.size(),
                              static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(i), places[i]});
            keys_ += key;
        }
    }
    std::sort(pairs_.begin(), pairs_.end(), [&](const Pair& a, const Pair& b) { return compare(a, b) < 0; });
    pairs_.erase(
        std::unique(pairs_.begin(), pairs_.end(), [&](const Pair& a, const Pair& b) { return compare(a, b) == 0; }),
        pairs_.end());
}

int PostingBatch::compare(const Pair& a, const Pair& b) const noexcept {
    if (a.first != b.first) {
        return a.first < b.first ? -1 : 1;
    }
    if (a.second != b.second) {
        return a.second < b.second ? -1 : 1;
    }
    if (a.size > 16 || b.size > 16 || a.size != b.size) {
        const std::string_view keys(keys_);
        const int rest = keys.substr(a.start, a.size).compare(keys.substr(b.start, b.size));
        if (rest != 0) {
            return rest;
        }
    }
    return a.place == b.place ? 0 : (a.place < b.place ? -1 : 1);
}

std::string_view PostingBatch::key(std::size_t i) const noexcept {
    return std::string_view(keys_).substr(pairs_[i].start, pairs_[i].size);
}

std::vector<std::string> posting_keys(std::span<const PostingRule> rules, std::uint8_t level,
                                      const std::vector<std::span<const std::byte>>& lists) {
    std::vector<std::string> out;
    for (const PostingRule& rule : rules) {
        if (rule.level == level && !rule.path.empty()) {
            Poster(rule, out).post(lists);
        }
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

}  // namespace hilum::index
