// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/stored.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "packed_text.hpp"

namespace hilum::index {
namespace {

constexpr char kPlain = 0;
constexpr char kPacked = 1;
constexpr std::size_t kHeader = 4;
constexpr std::size_t kMaxKind = 5;
constexpr std::uint64_t kNumberBias = 0x80000000U;
constexpr std::size_t kEventFixed = 16;
constexpr std::size_t kNativeTable = 21;

/// How one field of a fixed part is written.
enum class Field : std::uint8_t {
    u32,       ///< varint
    u64,       ///< varint
    near_key,  ///< id near the record's own: zigzag of the distance
    six,       ///< eight bytes of which two are zero
    raw64,     ///< eight bytes
    raw32,     ///< four bytes
    number,    ///< biased u32 (SeriesNumber, InstanceNumber)
    digest,    ///< 32 bytes
};

enum class Blob : std::uint8_t { text, list, counts, pixels, table };

struct Layout {
    std::span<const Field> fixed;
    std::span<const Blob> blobs;
};

using F = Field;
using B = Blob;
constexpr Field kPatientFixed[] = {F::u32, F::u32, F::u64, F::u64};
constexpr Field kStudyFixed[] = {F::near_key, F::six, F::u32, F::u32, F::u64, F::u64};
constexpr Field kSeriesFixed[] = {F::near_key, F::six, F::u64, F::u64, F::number, F::u32};
constexpr Field kInstanceFixed[] = {F::near_key, F::near_key, F::six, F::u64,    F::u64, F::u64,   F::u64,
                                    F::raw64,    F::raw32,    F::u32, F::number, F::u32, F::digest};
constexpr Field kVersionFixed[] = {F::u64,   F::u64,   F::u64, F::u64,    F::u64, F::u64,   F::u64,
                                   F::raw64, F::raw32, F::u32, F::number, F::u32, F::digest};
constexpr Blob kPatientBlobs[] = {B::text, B::list, B::list};
constexpr Blob kStudyBlobs[] = {B::counts, B::counts, B::list, B::list};
constexpr Blob kSeriesBlobs[] = {B::text, B::counts, B::list, B::list, B::list, B::list};
constexpr Blob kInstanceBlobs[] = {B::text, B::text, B::text, B::pixels, B::table, B::text, B::list, B::list};
constexpr Blob kVersionBlobs[] = {B::text, B::text, B::text, B::pixels, B::table, B::text,
                                  B::list, B::text, B::text, B::list,   B::list,  B::list};
constexpr std::array<Layout, kMaxKind + 1> kLayouts = {{{},
                                                        {kPatientFixed, kPatientBlobs},
                                                        {kStudyFixed, kStudyBlobs},
                                                        {kSeriesFixed, kSeriesBlobs},
                                                        {kInstanceFixed, kInstanceBlobs},
                                                        {kVersionFixed, kVersionBlobs}}};

constexpr std::size_t width(Field field) noexcept {
    switch (field) {
        case Field::u32:
        case Field::raw32:
        case Field::number:
            return 4;
        case Field::digest:
            return 32;
        default:
            return 8;
    }
}

std::size_t fixed_size(const Layout& layout) noexcept {
    std::size_t size = 0;
    for (const Field field : layout.fixed) {
        size += width(field);
    }
    return size;
}

std::uint64_t key_number(std::span<const std::byte> key) noexcept {
    std::uint64_t number = 0;
    for (const std::byte b : key.first(std::min<std::size_t>(key.size(), 8))) {
        number = number << 8U | std::to_integer<std::uint64_t>(b);
    }
    return number;
}

void pack_field(Field field, std::string_view bytes, std::uint64_t own, std::string& out) {
    const std::uint64_t value = load_le(bytes.substr(0, std::min<std::size_t>(bytes.size(), 8)));
    switch (field) {
        case Field::u32:
        case Field::u64:
            return put_varint(value, out);
        case Field::near_key:
            return put_varint(zigzag(own - value), out);
        case Field::number:
            return put_varint(zigzag(value - kNumberBias), out);
        case Field::six:
            return put_le(value, 6, out);
        default:
            out.append(bytes);
    }
}

void unpack_field(Field field, PackedReader& in, std::uint64_t own, std::string& out) {
    switch (field) {
        case Field::u32:
        case Field::u64:
            return put_le(in.varint(), width(field), out);
        case Field::near_key:
            return put_le(own - unzigzag(in.varint()), 8, out);
        case Field::number:
            return put_le(unzigzag(in.varint()) + kNumberBias, 4, out);
        case Field::six:
            return put_le(load_le(in.take(6)), 8, out);
        default:
            out.append(in.take(width(field)));
    }
}

/// A number as it is written in decimal, without zeros in front.
bool read_count(std::string_view text, std::uint64_t& out) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && (text.size() == 1 || text[0] != '0');
}

/// Eleven fields separated by TAB: eight numbers, photometric interpretation, frames, source.
bool pack_pixels(std::string_view blob, PackedWriter& out) {
    if (std::count(blob.begin(), blob.end(), '\t') != 10) {
        return false;
    }
    std::size_t end = 0;
    for (int i = 0; i < 8; ++i) {
        end = blob.find('\t', end) + 1;
    }
    out.text(blob.substr(0, end - 1));
    blob.remove_prefix(end);
    for (int i = 0; i < 3; ++i) {
        const std::size_t tab = std::min(blob.find('\t'), blob.size());
        out.text(blob.substr(0, tab));
        blob.remove_prefix(std::min(tab + 1, blob.size()));
    }
    return true;
}

/// Lines of `name TAB count`.
bool pack_counts(std::string_view blob, PackedWriter& out) {
    const auto lines = static_cast<std::size_t>(std::count(blob.begin(), blob.end(), '\n')) + (blob.empty() ? 0 : 1);
    const auto each = [&](auto&& use) {
        for (std::string_view rest = blob; !rest.empty();) {
            const std::string_view line = rest.substr(0, rest.find('\n'));
            const std::size_t tab = line.find('\t');
            std::uint64_t count = 0;
            const bool whole = tab != std::string_view::npos && read_count(line.substr(tab + 1), count);
            if (!whole || !use(line.substr(0, tab), count)) {
                return false;
            }
            rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        }
        return true;
    };
    if ((!blob.empty() && blob.back() == '\n') || !each([](std::string_view, std::uint64_t) { return true; })) {
        return false;
    }
    out.number(lines);
    return each([&](std::string_view name, std::uint64_t count) {
        out.text(name);
        out.number(count);
        return true;
    });
}

void unpack_counts(PackedReader& in, std::string& out) {
    for (std::uint64_t lines = in.varint(); lines > 0; --lines) {
        in.text(out);
        out.push_back('\t');
        out.append(std::to_string(in.varint()));
        if (lines > 1) {
            out.push_back('\n');
        }
    }
}

void pack_blob(Blob kind, std::string_view blob, PackedWriter& out) {
    bool special = false;
    out.mark(1);
    switch (kind) {
        case Blob::text:
            out.unmark();
            return out.text(blob);
        case Blob::list:
            special = out.list(blob);
            break;
        case Blob::counts:
            special = pack_counts(blob, out);
            break;
        case Blob::pixels:
            special = pack_pixels(blob, out);
            break;
        case Blob::table:
            if (blob.size() == kNativeTable && blob[0] == 1) {
                out.number(load_le(blob.substr(1, 8)));
                out.number(load_le(blob.substr(9, 8)));
                out.number(load_le(blob.substr(17, 4)));
                special = true;
            }
            break;
    }
    if (!special) {
        out.unmark();
        out.mark(0);
        out.text(blob);
    }
}

void unpack_blob(Blob kind, PackedReader& in, std::string& out) {
    if (kind == Blob::text || in.byte() == 0) {
        return in.text(out);
    }
    switch (kind) {
        case Blob::list:
            return in.list(out);
        case Blob::counts:
            return unpack_counts(in, out);
        case Blob::pixels:
            for (int i = 0; i < 4; ++i) {
                if (i > 0) {
                    out.push_back('\t');
                }
                in.text(out);
            }
            return;
        default:
            out.push_back(1);
            put_le(in.varint(), 8, out);
            put_le(in.varint(), 8, out);
            put_le(in.varint(), 4, out);
    }
}

/// Views of a record's blobs; nothing when it is not laid out like one of its kind.
std::optional<std::vector<std::string_view>> blobs_of(const Layout& layout, std::string_view body) {
    const std::size_t lengths = kHeader + fixed_size(layout);
    std::size_t at = lengths + 4 * layout.blobs.size();
    if (body.size() < at || load_le(body.substr(2, 2)) != layout.blobs.size()) {
        return std::nullopt;
    }
    std::vector<std::string_view> out;
    out.reserve(layout.blobs.size());
    for (std::size_t i = 0; i < layout.blobs.size(); ++i) {
        const std::size_t length = load_le(body.substr(lengths + 4 * i, 4));
        if (length > body.size() - at) {
            return std::nullopt;
        }
        out.push_back(body.substr(at, length));
        at += length;
    }
    return at == body.size() ? std::optional(out) : std::nullopt;
}

bool pack_record(std::uint64_t own, std::string_view body, std::string& out) {
    const auto kind = static_cast<std::size_t>(body.size() < kHeader ? 0 : static_cast<unsigned char>(body[0]));
    if (kind == 0 || kind > kMaxKind) {
        return false;
    }
    const Layout& layout = kLayouts[kind];
    const auto blobs = blobs_of(layout, body);
    if (!blobs) {
        return false;
    }
    out.append(body.substr(0, 2));
    std::size_t at = kHeader;
    for (const Field field : layout.fixed) {
        if (field == Field::six && load_le(body.substr(at + 6, 2)) != 0) {
            return false;
        }
        pack_field(field, body.substr(at, width(field)), own, out);
        at += width(field);
    }
    PackedWriter writer(out);
    for (std::size_t i = 0; i < blobs->size(); ++i) {
        pack_blob(layout.blobs[i], (*blobs)[i], writer);
    }
    return true;
}

void unpack_record(std::uint64_t own, std::string_view stored, std::string& out) {
    PackedReader in(stored, out, kMaxPackedRecord);
    const std::string_view head = in.take(2);
    const auto kind = static_cast<std::size_t>(static_cast<unsigned char>(head[0]));
    if (kind == 0 || kind > kMaxKind) {
        throw_bad_packing();
    }
    const Layout& layout = kLayouts[kind];
    out.append(head);
    put_le(layout.blobs.size(), 2, out);
    for (const Field field : layout.fixed) {
        unpack_field(field, in, own, out);
    }
    const std::size_t lengths = out.size();
    out.append(4 * layout.blobs.size(), '\0');
    for (std::size_t i = 0; i < layout.blobs.size(); ++i) {
        const std::size_t start = out.size();
        unpack_blob(layout.blobs[i], in, out);
        set_le(out.size() - start, 4, out.data() + lengths + 4 * i);
    }
    in.finish();
}

bool pack_event(std::string_view body, std::string& out) {
    if (body.size() < kEventFixed || body.substr(1, 3) != std::string_view("\0\0\0", 3)) {
        return false;
    }
    const std::uint64_t count = load_le(body.substr(4, 4));
    std::string_view lines = body.substr(kEventFixed);
    if (static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n')) != count + 1) {
        return false;
    }
    out.push_back(body[0]);
    out.append(body.substr(8, 8));
    put_varint(count, out);
    PackedWriter writer(out);
    for (std::uint64_t i = 0; i < count + 2; ++i) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        writer.text(lines.substr(0, end));
        lines.remove_prefix(std::min(end + 1, lines.size()));
    }
    return true;
}

void unpack_event(std::string_view stored, std::string& out) {
    PackedReader in(stored, out, kMaxPackedRecord);
    const char kind = in.take(1)[0];
    const std::string_view time = in.take(8);
    const std::uint64_t count = in.varint();
    out.push_back(kind);
    out.append(3, '\0');
    put_le(count, 4, out);
    out.append(time);
    if (count > kMaxPackedRecord) {
        throw_bad_packing();
    }
    for (std::uint64_t i = 0; i < count + 2; ++i) {
        if (i > 0) {
            out.push_back('\n');
        }
        in.text(out);
    }
    in.finish();
}

}  // namespace

StoredAs stored_as(std::uint8_t database) noexcept {
    switch (database) {
        case 1:
        case 16:
        case 17:
        case 18:
            return StoredAs::number;
        case 2:
        case 3:
        case 4:
        case 5:
        case 11:
            return StoredAs::record;
        case 9:
            return StoredAs::event;
        default:
            return StoredAs::plain;
    }
}

void pack_body(StoredAs form, std::span<const std::byte> key, std::string_view body, std::string& out) {
    if (form == StoredAs::plain) {
        out.append(body);
        return;
    }
    if (form == StoredAs::number && body.size() == 8) {
        out.append(body.substr(std::min<std::size_t>(body.find_first_not_of('\0'), 8)));
        return;
    }
    const std::size_t start = out.size();
    if (form != StoredAs::number && body.size() <= kMaxPackedRecord) {
        out.push_back(kPacked);
        if (form == StoredAs::record ? pack_record(key_number(key), body, out) : pack_event(body, out)) {
            return;
        }
        out.resize(start);
    }
    out.push_back(kPlain);
    out.append(body);
}

void unpack_body(StoredAs form, std::span<const std::byte> key, std::string_view stored, std::string& out) {
    if (form == StoredAs::plain) {
        out.append(stored);
        return;
    }
    if (form == StoredAs::number) {
        if (stored.size() > 8) {
            throw_bad_packing();
        }
        out.append(8 - stored.size(), '\0');
        out.append(stored);
        return;
    }
    if (stored.empty()) {
        throw_bad_packing();
    }
    const char how = stored[0];
    stored.remove_prefix(1);
    if (how == kPlain) {
        out.append(stored);
    } else if (how != kPacked) {
        throw_bad_packing();
    } else if (form == StoredAs::record) {
        unpack_record(key_number(key), stored, out);
    } else {
        unpack_event(stored, out);
    }
}

}  // namespace hilum::index
