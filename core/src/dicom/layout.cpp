// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/layout.hpp"

#include <cstring>

#include "hilum/byte_order.hpp"
#include "hilum/dicom/element.hpp"
#include "hilum/error.hpp"

namespace hilum::dicom {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kPreamble = 128;
constexpr std::size_t kMagic = 4;
constexpr std::uint16_t kMetaGroup = 0x0002;
/// A data set of an object starts with group 0008; 0004 is that of a DICOMDIR.
constexpr std::uint16_t kHighestFirstGroup = 0x0008;

bool magic_at(Bytes data, std::size_t offset) noexcept {
    return data.size() >= offset + kMagic && std::memcmp(data.data() + offset, "DICM", kMagic) == 0;
}

std::uint16_t group_at(Bytes data, std::size_t offset, bool big_endian) noexcept {
    return load<std::uint16_t>(data.data() + offset, big_endian);
}

/// The meta is explicit VR little endian whatever follows (PS3.10 section 7.1). It ends where group 0002 does; the
/// group length is only compared, because writers get it wrong.
void read_meta(Bytes data, ObjectLayout& layout) {
    ElementReader reader(data, layout.meta_offset, {true, false}, layout.warnings);
    std::size_t stated_end = 0;
    std::size_t end = layout.meta_offset;
    Element element;
    while (data.size() - end >= 8 && group_at(data, end, false) == kMetaGroup && reader.next(element)) {
        if (element.undefined_length()) {
            throw Error(Errc::bad_element, "undefined length in the file meta information", element.offset);
        }
        end = reader.position();
        if (element.tag == Tag{0x00020000} && element.length == 4) {
            stated_end = end + load<std::uint32_t>(element.value.data());
        } else if (element.tag == tags::kMediaStorageSopClassUid) {
            layout.media_storage_sop_class_uid = trim_padding(element.characters());
        } else if (element.tag == tags::kMediaStorageSopInstanceUid) {
            layout.media_storage_sop_instance_uid = trim_padding(element.characters());
        } else if (element.tag == tags::kTransferSyntaxUid) {
            layout.transfer_syntax_uid = trim_padding(element.characters());
        }
    }
    if (stated_end != end) {
        layout.warnings.add(Warning::meta_length);
    }
    layout.has_meta = end > layout.meta_offset;
    layout.dataset_offset = end;
}

/// Whether the first elements fit and ascend when read so.
bool reads_as(Bytes data, std::size_t offset, Encoding encoding) {
    constexpr int kElements = 3;
    Warnings ignored;
    try {
        ElementReader reader(data, offset, encoding, ignored);
        Tag last;
        Element element;
        for (int i = 0; i < kElements && reader.next(element); ++i) {
            if (element.tag <= last) {
                return false;
            }
            last = element.tag;
        }
        return true;
    } catch (const Error&) {
        return false;
    }
}

/// The encoding by the first elements of the data set, `assumed` if there is none. The group of the first is below
/// 0x0400 in nearly every data set, so that the byte order shows; the rest has to agree.
Encoding sniff_encoding(Bytes data, std::size_t offset, Encoding assumed) {
    if (data.size() - offset < 8) {
        return assumed;
    }
    Encoding found = assumed;
    found.explicit_vr = looks_like_vr(load<std::uint16_t>(data.data() + offset + 4));
    const bool little = group_at(data, offset, false) < 0x0400;
    const bool big = group_at(data, offset, true) < 0x0400;
    if (little != big && big != assumed.big_endian) {
        const Encoding other{found.explicit_vr, big};
        if (reads_as(data, offset, other)) {
            return other;
        }
    }
    return found;
}

std::string_view uid_of(Encoding encoding) noexcept {
    if (!encoding.explicit_vr) {
        return kImplicitLittleEndian;
    }
    return encoding.big_endian ? kExplicitBigEndian : kExplicitLittleEndian;
}

/// A data set without meta starts with a low group, and its first element fits.
bool looks_like_dataset(Bytes data) {
    if (data.size() < 8) {
        return false;
    }
    const Encoding encoding = sniff_encoding(data, 0, {false, false});
    const std::uint16_t group = group_at(data, 0, encoding.big_endian);
    if (group != kHighestFirstGroup && group != 0x0004) {
        return false;
    }
    Warnings ignored;
    Element first;
    try {
        return ElementReader(data, 0, encoding, ignored).next(first);
    } catch (const Error&) {
        return false;
    }
}

void find_meta(Bytes data, ObjectLayout& layout) {
    if (magic_at(data, kPreamble)) {
        layout.has_preamble = true;
        layout.meta_offset = kPreamble + kMagic;
        read_meta(data, layout);
    } else if (magic_at(data, 0) || (data.size() >= 8 && group_at(data, 0, false) == kMetaGroup &&
                                     looks_like_vr(load<std::uint16_t>(data.data() + 4)))) {
        layout.warnings.add(Warning::no_preamble);
        layout.meta_offset = magic_at(data, 0) ? kMagic : 0;
        read_meta(data, layout);
    } else if (!looks_like_dataset(data)) {
        throw Error(Errc::not_dicom, "not a DICOM object: no file meta information and no data set", 0);
    }
    if (!layout.has_meta) {
        layout.dataset_offset = layout.meta_offset;
        layout.warnings.add(Warning::missing_meta);
    }
}

}  // namespace

std::string_view trim_padding(std::string_view value) noexcept {
    while (!value.empty() && (value.back() == ' ' || value.back() == '\0')) {
        value.remove_suffix(1);
    }
    while (!value.empty() && value.front() == ' ') {
        value.remove_prefix(1);
    }
    return value;
}

bool is_valid_uid(std::string_view uid) noexcept {
    if (uid.empty() || uid.size() > 64) {
        return false;
    }
    bool digit_before = false;
    for (const char c : uid) {
        const bool digit = c >= '0' && c <= '9';
        if (!digit && !(c == '.' && digit_before)) {
            return false;
        }
        digit_before = digit;
    }
    return digit_before;
}

ObjectLayout read_layout(Bytes data) {
    ObjectLayout layout;
    find_meta(data, layout);
    if (!is_valid_uid(layout.transfer_syntax_uid)) {
        layout.transfer_syntax_uid = {};
    }
    const TransferSyntax* syntax = find_transfer_syntax(layout.transfer_syntax_uid);
    if (layout.transfer_syntax_uid.empty()) {
        if (layout.has_meta) {
            layout.warnings.add(Warning::missing_transfer_syntax);
        }
        layout.encoding = sniff_encoding(data, layout.dataset_offset, {false, false});
        layout.transfer_syntax_uid = uid_of(layout.encoding);
        return layout;
    }
    Encoding declared{true, false};
    if (syntax == nullptr) {
        layout.codec = Codec::unknown;
        layout.warnings.add(Warning::unknown_transfer_syntax);
    } else {
        layout.codec = syntax->codec;
        layout.deflated = syntax->deflated;
        declared = syntax->encoding;
    }
    layout.encoding = declared;
    if (!layout.deflated) {
        layout.encoding = sniff_encoding(data, layout.dataset_offset, declared);
        if (!(layout.encoding == declared)) {
            layout.warnings.add(Warning::encoding_mismatch);
        }
    }
    return layout;
}

}  // namespace hilum::dicom
