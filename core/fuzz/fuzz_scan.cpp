// SPDX-License-Identifier: Apache-2.0
// The scan of any bytes: whatever is accepted has all its offsets inside, bounded sizes, and the same answer for a
// copy.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "hilum/checksum.hpp"
#include "hilum/dicom/attributes.hpp"
#include "hilum/dicom/element.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/dicom/scan.hpp"
#include "hilum/error.hpp"

namespace {

using hilum::dicom::Element;
using hilum::dicom::ElementReader;
using hilum::dicom::FrameKind;
using hilum::dicom::FrameTable;
using hilum::dicom::ScanResult;
using hilum::dicom::SequenceReader;

using Bytes = std::span<const std::byte>;

void require(bool held) {
    if (!held) {
        std::abort();
    }
}

/// Inflated data may be a thousand times the input; keep the fuzzer quick.
constexpr std::size_t kMaxInflated = 4U << 20U;

struct Outcome {
    std::optional<ScanResult> result;
    int code = 0;
};

Outcome scan(Bytes data, bool storable) {
    try {
        return {hilum::dicom::scan(data, storable), 0};
    } catch (const hilum::Error& error) {
        require(error.offset() == hilum::Error::kNoOffset || error.offset() <= kMaxInflated + data.size());
        return {std::nullopt, static_cast<int>(error.code())};
    }
}

void check_frames(const ScanResult& result, Bytes data) {
    const FrameTable table({reinterpret_cast<const std::byte*>(result.frame_table.data()), result.frame_table.size()});
    require((table.kind() == FrameKind::none) == !result.has_pixels);
    require(result.frame_table.size() <= 64 + 2 * data.size());
    if (table.kind() == FrameKind::none) {
        return;
    }
    if (table.kind() == FrameKind::native) {
        const unsigned __int128 end = static_cast<unsigned __int128>(table.first()) * 8 +
                                      static_cast<unsigned __int128>(table.frame_bits()) * table.frames();
        require(end <= static_cast<unsigned __int128>(data.size()) * 8);
        return;
    }
    std::uint64_t last = 0;
    for (std::uint32_t i = 0; i < table.frames(); ++i) {
        for (const hilum::dicom::Fragment& fragment : table.fragments(i)) {
            require(fragment.offset >= last && fragment.offset <= data.size());
            require(fragment.length <= data.size() - fragment.offset);
            last = fragment.offset + fragment.length;
        }
    }
}

/// Attribute lists are well-formed and sorted.
void check_list(const std::string& list, int depth) {
    require(depth < 10);
    std::uint64_t last = 0;
    std::size_t at = 0;
    const auto byte = [&list](std::size_t i) { return static_cast<unsigned char>(list[i]); };
    while (at < list.size()) {
        require(list.size() - at >= 8);
        const std::uint64_t tag =
            byte(at) | byte(at + 1) << 8U | byte(at + 2) << 16U | static_cast<std::uint64_t>(byte(at + 3)) << 24U;
        const std::size_t length = byte(at + 6) | static_cast<std::size_t>(byte(at + 7)) << 8U;
        require(at == 0 || tag > last);
        last = tag;
        at += 8;
        require(length <= list.size() - at);
        const std::string value = list.substr(at, length);
        const bool sequence = list[at - 4] == 'S' && list[at - 3] == 'Q';
        require(sequence || hilum::dicom::is_valid_utf8(value));
        for (std::size_t item = 0; sequence && item < value.size();) {
            const std::size_t size = static_cast<unsigned char>(value[item]) |
                                     static_cast<std::size_t>(static_cast<unsigned char>(value[item + 1])) << 8U;
            require(size + 2 <= value.size() - item);
            check_list(value.substr(item + 2, size), depth + 1);
            item += 2 + size;
        }
        at += length;
    }
}

void check_result(const ScanResult& result, Bytes object) {
    require(result.header_length <= object.size() && result.dataset_offset <= object.size());
    for (const std::string& list : result.attributes) {
        require(list.size() < 65536);
        check_list(list, 0);
    }
    for (const std::string& uid : {result.sop_instance_uid, result.sop_class_uid, result.study_instance_uid,
                                   result.series_instance_uid, result.transfer_syntax_uid}) {
        require(uid.empty() || hilum::dicom::is_valid_uid(uid));
    }
    if (!result.deflated) {
        check_frames(result, object);
    }
    // The header alone is an object, too, and says the same; unless elements are out of order or VRs had to be guessed.
    if (result.has_pixels && !result.deflated && result.warnings.empty()) {
        const Outcome header = scan(object.first(result.header_length), false);
        require(header.result.has_value() && header.result->attributes == result.attributes);
    }
}

/// Read everything, items too; half of them only in part.
std::size_t read_all(ElementReader& reader, Bytes data, unsigned& steps) {
    std::size_t seen = 0;
    Element element;
    while (++steps < 200000 && reader.next(element)) {
        ++seen;
        require(element.value_offset <= data.size() && element.value.data() >= data.data());
        require(element.value.size() <= data.size() - element.value_offset);
        require(element.offset < element.value_offset);
        if (!element.is_sequence()) {
            continue;
        }
        SequenceReader items(reader, element);
        ElementReader item;
        while (++steps < 200000 && items.next(item)) {
            if (seen % 3 != 0) {
                seen += read_all(item, data, steps);
            }
        }
    }
    return seen;
}

void check_reader(Bytes data) {
    try {
        hilum::dicom::ObjectLayout layout = hilum::dicom::read_layout(data);
        require(layout.dataset_offset <= data.size());
        std::vector<std::byte> inflated;
        if (layout.deflated) {
            inflated = hilum::dicom::inflate_object(data, layout, kMaxInflated);
            data = inflated;
        }
        ElementReader reader(data, layout.dataset_offset, layout.encoding, layout.warnings);
        unsigned steps = 0;
        read_all(reader, data, steps);
    } catch (const hilum::Error&) {
    }
}

void check_extract(Bytes data) {
    static const std::vector<std::string> paths{
        "00080005", "00080060", "00081032.00080100", "00400275.00081032.00080104",
        "00280010", "00091001", "7FE00010",          "00189004"};
    static const hilum::dicom::TagPaths tags(paths);
    try {
        check_list(hilum::dicom::extract(data, tags.wanted()), 0);
    } catch (const hilum::Error&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    const Bytes data(reinterpret_cast<const std::byte*>(input), size);
    for (const bool storable : {true, false}) {
        const Outcome first = scan(data, storable);
        if (first.result) {
            check_result(*first.result, data);
        }
        // A copy at another address, so that nothing hangs on where the bytes are or on what lies behind them.
        const std::vector<std::byte> copy(data.begin(), data.end());
        const Outcome second = scan(copy, storable);
        require(first.code == second.code && first.result.has_value() == second.result.has_value());
        if (first.result) {
            require(first.result->frame_table == second.result->frame_table);
            require(first.result->attributes == second.result->attributes);
            require(first.result->header_length == second.result->header_length);
            require(first.result->warnings.names() == second.result->warnings.names());
        }
    }
    check_reader(data);
    check_extract(data);
    require(hilum::crc32c(data) == hilum::detail::crc32c_scalar(data, 0));
    return 0;
}
