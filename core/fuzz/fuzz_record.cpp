// SPDX-License-Identifier: Apache-2.0
// Input: an index record, as damage that its checksum misses would leave it, its stored form, or a block of match keys.
// Every part is read, and the record is matched, posted and answered; whatever it holds gives a result or an error.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hilum/error.hpp"
#include "hilum/index/identifier.hpp"
#include "hilum/index/match.hpp"
#include "hilum/index/posting_blocks.hpp"
#include "hilum/index/postings.hpp"
#include "hilum/index/qido_json.hpp"
#include "hilum/index/record.hpp"
#include "hilum/index/stored.hpp"

namespace {

using namespace hilum::index;

void read_parts(std::span<const std::byte> record) {
    const RecordView view(record);
    for (std::size_t i = 0; i < view.blobs(); ++i) {
        (void)view.blob(i);
    }
    const std::array<AnswerRow, 1> rows{AnswerRow{view}};
    std::string json;
    write_answers(rows, {.all = true, .tags = {}, .extras = {}, .base_url = "http://h"}, json);
    static constexpr std::array<AnswerElement, 2> kElements{
        {{0x00100010, {'P', 'N'}, {}}, {0x0020000D, {'U', 'I'}, {}}}};
    std::string identifier;
    if (!write_identifier(rows[0], {}, {kElements, true, false, true}, identifier) && !identifier.empty()) {
        std::abort();
    }
}

void read_lists(std::span<const std::byte> list) {
    static const std::vector<PostingRule> kRules = {
        {{0x00100010}, 2, true, true, true, true},
        {{0x00100020}, 2, true, true, false, false},
        {{0x00400275, 0x00400009}, 3, false, false, false, false},
    };
    static const Matcher kMatcher([] {
        std::vector<Condition> conditions(2);
        conditions[0].comparison = Comparison::person;
        conditions[0].tag = 0x00100010;
        conditions[0].values = {"a*"};
        conditions[1].operation = Operation::range;
        conditions[1].comparison = Comparison::date;
        conditions[1].tag = 0x00080020;
        conditions[1].low = "20200101";
        return conditions;
    }());
    const std::uint32_t tags[] = {0x00080020, 0x00100010};
    const std::string merged = merge_attributes({list, list});
    (void)select_attributes(list, tags);
    (void)kMatcher.matches({list});
    for (const std::uint8_t level : {std::uint8_t{2}, std::uint8_t{3}}) {
        (void)posting_keys(kRules, level, {list});
    }
}

void read_stored(std::span<const std::byte> record) {
    const std::string_view text(reinterpret_cast<const char*>(record.data()), record.size());
    const StoredAs form = stored_as(text.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(text[0] & 31));
    std::string body;
    unpack_body(form, record.first(std::min<std::size_t>(record.size(), 8)),
                text.substr(std::min<std::size_t>(1, text.size())), body);
}

void read_block(std::span<const std::byte> block) {
    const std::string_view text(reinterpret_cast<const char*>(block.data()), block.size());
    std::string orders;
    decode_postings(text.substr(0, kOrderKey), text.substr(std::min(kOrderKey, text.size())), orders);
}

template <typename Work>
void attempt(Work work) {
    try {
        work();
    } catch (const hilum::Error&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // A buffer of the exact size, so that the sanitizer sees one byte too much on either side.
    const std::vector<std::byte> record(reinterpret_cast<const std::byte*>(data),
                                        reinterpret_cast<const std::byte*>(data) + size);
    attempt([&] { read_parts(record); });
    attempt([&] { read_lists(record); });
    attempt([&] { read_stored(record); });
    attempt([&] { read_block(record); });
    return 0;
}
