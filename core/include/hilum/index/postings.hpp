// SPDX-License-Identifier: Apache-2.0
// Match keys: under which keys of the `match` database a study or patient is found (docs/formats/index.md, "match").
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hilum::index {

enum class PostingKind : std::uint8_t { value = 'v', prefix = 'p', word = 'w', sound = 's', gram = 'g' };

/// What is posted of one attribute.
struct PostingRule {
    std::vector<std::uint32_t> path;  ///< tag, or sequence tags and the tag
    std::uint8_t level = 0;           ///< first byte of the keys
    bool prefixes = false;            ///< first one, two, three characters
    bool grams = false;               ///< every three characters in a row
    bool person = false;              ///< a name (VR PN): its component groups are values
    bool words = false;               ///< words of a name and their sounds
};

inline constexpr std::size_t kMaxPostedBytes = 400;  ///< longer values are cut: the match key is then a prefix
inline constexpr std::size_t kPrefixCharacters = 3;
inline constexpr std::size_t kGramCharacters = 3;

/// Attribute (one byte; 255, level and tag BE for those without a number) | kind | value; no zero in the value.
[[nodiscard]] std::string posting_key(std::uint8_t level, std::uint32_t tag, PostingKind kind, std::string_view value);

/// Comparable form of a value as it is posted: folded and trimmed, names by fold_name_group.
[[nodiscard]] std::string posted_value(std::string_view value, bool person);

/// The first `count` characters (all, when there are fewer).
[[nodiscard]] std::string_view first_characters(std::string_view text, std::size_t count) noexcept;

/// Every run of kGramCharacters characters, each once, in order.
[[nodiscard]] std::vector<std::string_view> grams(std::string_view text);

/// All keys of the attribute lists of one entity, sorted, each once.
[[nodiscard]] std::vector<std::string> posting_keys(std::span<const PostingRule> rules, std::uint8_t level,
                                                    const std::vector<std::span<const std::byte>>& lists);

/// One entity of a batch: what posting_keys takes, and the order key under which it stands.
struct PostedEntity {
    std::string_view order;
    std::uint8_t level = 0;
    std::vector<std::span<const std::byte>> lists;
};

/// The (match key, order key) pairs of many entities, sorted, each once.
class PostingBatch {
public:
    PostingBatch(std::span<const PostingRule> rules, const std::vector<PostedEntity>& entities);

    [[nodiscard]] std::size_t size() const noexcept { return pairs_.size(); }
    [[nodiscard]] std::string_view key(std::size_t i) const noexcept;
    /// Position of the pair's entity.
    [[nodiscard]] std::size_t entity(std::size_t i) const noexcept { return pairs_[i].entity; }

private:
    struct Pair {
        std::uint64_t first;   ///< the key's bytes 0 to 7 and
        std::uint64_t second;  ///< 8 to 15 as numbers, for quick comparisons
        std::size_t start;
        std::uint32_t size;
        std::uint32_t entity;
        std::uint32_t place;  ///< of the entity's order key among all
    };
    [[nodiscard]] int compare(const Pair& a, const Pair& b) const noexcept;

    std::string keys_;
    std::vector<Pair> pairs_;
};

}  // namespace hilum::index
