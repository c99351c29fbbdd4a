// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg_lossless.hpp"

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "hilum/codec/jpeg.hpp"
#include "hilum/error.hpp"
#include "huffman.hpp"
#include "jpeg_segments.hpp"

namespace hilum::codec::jpeg_lossless {
namespace {

constexpr unsigned kMaxComponents = 4;

/// T.81 B.2.3, for one scan.
struct Scan {
    unsigned count = 0;                                    ///< components in this scan
    std::array<std::uint8_t, kMaxComponents> component{};  ///< index into the frame's components
    std::array<std::uint8_t, kMaxComponents> table{};
    unsigned predictor = 0;  ///< Ss: 1 to 7
    unsigned transform = 0;  ///< Al: point transform
};

struct Decoder {
    unsigned precision = 0;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    unsigned components = 0;
    std::array<std::uint8_t, kMaxComponents> identifier{};
    std::uint32_t restart_interval = 0;  ///< in MCUs, that is in pixels
    std::array<DifferenceTable, 4> tables;
    std::vector<std::byte> plain;                 ///< one restart interval without stuffed bytes
    std::unique_ptr<std::int16_t[]> differences;  ///< one row of a scan
};

using jpeg::byte_at;
using jpeg::word_at;

void read_frame_header(std::span<const std::byte> segment, std::size_t offset, Decoder& decoder) {
    if (segment.size() < 6 || segment.size() < 6 + 3U * byte_at(segment, 5)) {
        throw Error(Errc::bad_codestream, "JPEG frame header is too short", offset);
    }
    decoder.precision = byte_at(segment, 0);
    decoder.rows = word_at(segment, 1);
    decoder.columns = word_at(segment, 3);
    decoder.components = byte_at(segment, 5);
    if (decoder.components == 0 || decoder.components > kMaxComponents || decoder.precision < 2 ||
        decoder.precision > 16) {
        throw Error(Errc::bad_codestream, "JPEG lossless frame header: components or precision out of range", offset);
    }
    for (unsigned i = 0; i < decoder.components; ++i) {
        decoder.identifier[i] = static_cast<std::uint8_t>(byte_at(segment, 6 + 3U * i));
        if (byte_at(segment, 7 + 3U * i) != 0x11 && decoder.components > 1) {
            throw Error(Errc::unsupported_pixels, "JPEG lossless with subsampled components has no decoder", offset);
        }
    }
}

void read_tables(std::span<const std::byte> segment, std::size_t offset, Decoder& decoder) {
    while (!segment.empty()) {
        if (segment.size() < 17) {
            throw Error(Errc::bad_codestream, "JPEG Huffman table is too short", offset);
        }
        const unsigned target = byte_at(segment, 0) & 0x0FU;
        std::size_t codes = 0;
        for (std::size_t i = 1; i <= 16; ++i) {
            codes += byte_at(segment, i);
        }
        if (target > 3 || codes > segment.size() - 17) {
            throw Error(Errc::bad_codestream, "JPEG Huffman table: destination or length out of range", offset);
        }
        // Tables of class 1 (AC) may stand in the stream; a lossless scan has no use for them.
        if (byte_at(segment, 0) >> 4U == 0 &&
            !decoder.tables[target].build(segment.subspan<1, 16>(), segment.subspan(17, codes))) {
            throw Error(Errc::bad_codestream, "JPEG Huffman table is no code for differences", offset);
        }
        segment = segment.subspan(17 + codes);
    }
}

Scan read_scan_header(std::span<const std::byte> segment, std::size_t offset, const Decoder& decoder) {
    Scan scan;
    scan.count = segment.empty() ? 0 : byte_at(segment, 0);
    if (scan.count == 0 || scan.count > decoder.components || segment.size() < 4 + 2U * scan.count) {
        throw Error(Errc::bad_codestream, "JPEG scan header: wrong number of components", offset);
    }
    for (unsigned i = 0; i < scan.count; ++i) {
        const unsigned wanted = byte_at(segment, 1 + 2U * i);
        unsigned found = 0;
        while (found < decoder.components && decoder.identifier[found] != wanted) {
            ++found;
        }
        const unsigned table = byte_at(segment, 2 + 2U * i) >> 4U;
        if (found == decoder.components || table > 3 || decoder.tables[table].empty()) {
            throw Error(Errc::bad_codestream, "JPEG scan header: component or Huffman table that was not defined",
                        offset);
        }
        scan.component[i] = static_cast<std::uint8_t>(found);
        scan.table[i] = static_cast<std::uint8_t>(table);
    }
    scan.predictor = byte_at(segment, 1 + 2U * scan.count);
    scan.transform = byte_at(segment, 3 + 2U * scan.count) & 0x0FU;
    if (scan.predictor < 1 || scan.predictor > 7 || scan.transform >= decoder.precision) {
        throw Error(Errc::bad_codestream, "JPEG scan header: predictor or point transform out of range", offset);
    }
    return scan;
}

template <unsigned Predictor>
std::int32_t predict(std::int32_t left, std::int32_t above, std::int32_t corner) noexcept {
    switch (Predictor) {  // Table H.1
        case 1:
            return left;
        case 2:
            return above;
        case 3:
            return corner;
        case 4:
            return left + above - corner;
        case 5:
            return left + ((above - corner) >> 1);
        case 6:
            return above + ((left - corner) >> 1);
        default:
            return (left + above) >> 1;
    }
}

/// What the rows of one scan share. `Sample` is the caller's container.
template <typename Sample>
struct Rows {
    Sample* out = nullptr;  ///< first sample of the image
    std::size_t pixel = 1;  ///< samples from one pixel to the next
    std::size_t columns = 0;
    std::uint32_t seen = 0;  ///< OR of all values: shows one that does not fit the precision
    std::uint32_t bad = 0;   ///< an invalid code was met
};

/// The differences of one row of a scan, interleaved as in the code stream.
template <unsigned Count>
void read_differences(BitReader& reader, const std::array<const DifferenceTable*, Count>& tables,
                      std::span<std::int16_t> row, std::uint32_t& bad) noexcept {
    bool same = true;
    for (unsigned c = 1; c < Count; ++c) {
        same = same && tables[c] == tables[0];
    }
    if (same) {
        return tables[0]->run(reader, row.data(), row.size(), bad);
    }
    for (std::size_t i = 0; i < row.size(); i += Count) {
        for (unsigned c = 0; c < Count; ++c) {
            row[i + c] = tables[c]->next(reader, bad);
        }
    }
}

/// The first row of a restart interval: Ra, from 2^(P-Pt-1) (H.1.1). `Step` samples from one pixel to the next.
template <typename Sample, unsigned Step>
std::uint32_t first_row(const std::int16_t* difference, unsigned count, std::size_t columns, std::int32_t start,
                        std::size_t step, Sample* row) noexcept {
    const std::size_t stride = Step == 0 ? step : Step;
    std::uint32_t seen = 0;
    auto left = static_cast<std::uint32_t>(start);
    for (std::size_t x = 0; x < columns; ++x) {
        left = (left + static_cast<std::uint32_t>(difference[x * count])) & 0xFFFFU;
        seen |= left;
        row[x * stride] = static_cast<Sample>(left);
    }
    return seen;
}

/// Any other row: Rb for its first sample, then as the predictor says.
template <typename Sample, unsigned Predictor, unsigned Step>
std::uint32_t next_row(const std::int16_t* difference, unsigned count, std::size_t columns, const Sample* above_row,
                       std::size_t step, Sample* row) noexcept {
    const std::size_t stride = Step == 0 ? step : Step;
    std::int32_t corner = above_row[0];
    std::int32_t left = (corner + difference[0]) & 0xFFFF;
    auto seen = static_cast<std::uint32_t>(left);
    row[0] = static_cast<Sample>(left);
    for (std::size_t x = 1; x < columns; ++x) {
        const std::int32_t above = Predictor == 1 ? 0 : above_row[x * stride];
        left = (predict<Predictor>(left, above, corner) + difference[x * count]) & 0xFFFF;
        corner = above;
        seen |= static_cast<std::uint32_t>(left);
        row[x * stride] = static_cast<Sample>(left);
    }
    return seen;
}

/// `count` rows from `first` on, out of one restart interval.
template <typename Sample, unsigned Count, unsigned Predictor>
void decode_rows(const Decoder& decoder, const Scan& scan, Rows<Sample>& rows, std::uint32_t first, std::uint32_t count,
                 std::size_t offset) {
    std::array<const DifferenceTable*, Count> tables;
    std::array<std::size_t, Count> component;
    for (unsigned c = 0; c < Count; ++c) {
        tables[c] = &decoder.tables[scan.table[c]];
        component[c] = scan.component[c];
    }
    BitReader reader(decoder.plain);
    const std::size_t stride = rows.columns * rows.pixel;
    const std::span<std::int16_t> row_differences(decoder.differences.get(), rows.columns * Count);
    const unsigned bits = decoder.precision - scan.transform;
    for (std::uint32_t y = first; y < first + count; ++y) {
        Sample* row = rows.out + y * stride;
        read_differences<Count>(reader, tables, row_differences, rows.bad);
        for (unsigned c = 0; c < Count; ++c) {
            const std::int16_t* difference = row_differences.data() + c;
            Sample* to = row + component[c];
            if (y == first) {
                rows.seen |=
                    rows.pixel == Count
                        ? first_row<Sample, Count>(difference, Count, rows.columns, 1 << (bits - 1U), Count, to)
                        : first_row<Sample, 0>(difference, Count, rows.columns, 1 << (bits - 1U), rows.pixel, to);
            } else {
                rows.seen |=
                    rows.pixel == Count
                        ? next_row<Sample, Predictor, Count>(difference, Count, rows.columns, to - stride, Count, to)
                        : next_row<Sample, Predictor, 0>(difference, Count, rows.columns, to - stride, rows.pixel, to);
            }
        }
        if (reader.overrun()) {
            throw Error(Errc::bad_codestream, "JPEG lossless code stream ends in row " + std::to_string(y), offset);
        }
        if (rows.bad != 0 || rows.seen >> bits != 0) {
            throw Error(Errc::bad_codestream, "JPEG lossless code stream is damaged in row " + std::to_string(y),
                        offset);
        }
    }
}

template <typename Sample>
using DecodeRows = void (*)(const Decoder&, const Scan&, Rows<Sample>&, std::uint32_t, std::uint32_t, std::size_t);

template <typename Sample, unsigned Count>
DecodeRows<Sample> choose_predictor(unsigned predictor) noexcept {
    constexpr std::array<DecodeRows<Sample>, 7> kByPredictor{
        &decode_rows<Sample, Count, 1>, &decode_rows<Sample, Count, 2>, &decode_rows<Sample, Count, 3>,
        &decode_rows<Sample, Count, 4>, &decode_rows<Sample, Count, 5>, &decode_rows<Sample, Count, 6>,
        &decode_rows<Sample, Count, 7>};
    return kByPredictor[predictor - 1];
}

template <typename Sample>
DecodeRows<Sample> choose_rows(const Scan& scan) noexcept {
    switch (scan.count) {
        case 1:
            return choose_predictor<Sample, 1>(scan.predictor);
        case 2:
            return choose_predictor<Sample, 2>(scan.predictor);
        case 3:
            return choose_predictor<Sample, 3>(scan.predictor);
        default:
            return choose_predictor<Sample, 4>(scan.predictor);
    }
}

/// Copies entropy-coded bytes up to the next marker, without stuffing (B.1.1.5), and returns the marker's offset.
std::size_t unstuff(std::span<const std::byte> data, std::size_t at, std::vector<std::byte>& plain) {
    plain.clear();
    while (at < data.size()) {
        const void* found = std::memchr(data.data() + at, 0xFF, data.size() - at);
        const std::size_t stop = found == nullptr
                                     ? data.size()
                                     : static_cast<std::size_t>(static_cast<const std::byte*>(found) - data.data());
        plain.insert(plain.end(), data.begin() + static_cast<std::ptrdiff_t>(at),
                     data.begin() + static_cast<std::ptrdiff_t>(stop));
        if (stop + 1 >= data.size()) {
            return data.size();
        }
        const unsigned next = byte_at(data, stop + 1);
        if (next == 0) {
            plain.push_back(std::byte{0xFF});
            at = stop + 2;
        } else if (next == 0xFF) {
            at = stop + 1;
        } else {
            return stop;
        }
    }
    return data.size();
}

template <typename Sample>
std::size_t decode_scan(std::span<const std::byte> data, std::size_t at, Decoder& decoder, const Scan& scan,
                        Sample* out) {
    const std::uint32_t interval = decoder.restart_interval;
    if (interval % decoder.columns != 0) {
        throw Error(Errc::unsupported_pixels, "JPEG lossless restart interval is not a whole number of rows", at);
    }
    const std::uint32_t step = interval == 0 ? decoder.rows : interval / decoder.columns;
    decoder.differences = std::make_unique_for_overwrite<std::int16_t[]>(std::size_t{decoder.columns} * scan.count);
    Rows<Sample> rows{out, decoder.components, decoder.columns, 0, 0};
    const DecodeRows<Sample> run = choose_rows<Sample>(scan);
    for (std::uint32_t first = 0; first < decoder.rows; first += step) {
        const std::size_t begin = at;
        at = unstuff(data, at, decoder.plain);
        const std::uint32_t left = decoder.rows - first;
        run(decoder, scan, rows, first, left < step ? left : step, begin);
        const bool last = left <= step;
        if (!last) {
            if (at + 2 > data.size() || (byte_at(data, at + 1) & 0xF8U) != 0xD0U) {
                throw Error(Errc::bad_codestream, "JPEG restart marker is missing", at);
            }
            at += 2;
        }
    }
    if (scan.transform != 0) {
        const std::size_t samples = std::size_t{decoder.rows} * decoder.columns;
        for (unsigned c = 0; c < scan.count; ++c) {
            for (std::size_t i = 0; i < samples; ++i) {
                Sample& sample = out[i * decoder.components + scan.component[c]];
                sample = static_cast<Sample>(sample << scan.transform);
            }
        }
    }
    return at;
}

/// All segments and scans; returns once every component has been decoded.
template <typename Sample>
void decode_image(std::span<const std::byte> data, const ImageInfo& info, Sample* out) {
    Decoder decoder;
    unsigned done = 0;
    std::size_t at = 2;
    while (at + 4 <= data.size()) {
        if (byte_at(data, at) != 0xFF) {
            throw Error(Errc::bad_codestream, "no JPEG marker where one must be", at);
        }
        const unsigned marker = byte_at(data, at + 1);
        if (marker == 0xFF) {
            ++at;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) {
            at += 2;
            continue;
        }
        const std::size_t length = word_at(data, at + 2);
        if (marker == 0xD9 || length < 2 || length > data.size() - at - 2) {
            break;
        }
        const std::span<const std::byte> segment = data.subspan(at + 4, length - 2);
        const std::size_t start = at;
        at += 2 + length;
        if (marker == 0xC3) {
            read_frame_header(segment, start, decoder);
            if (decoder.rows != info.rows || decoder.columns != info.columns || decoder.components != info.components ||
                decoder.precision != info.precision) {
                throw Error(Errc::bad_codestream, "JPEG code stream with two frame headers", start);
            }
        } else if (marker == 0xC4) {
            read_tables(segment, start, decoder);
        } else if (marker == 0xDD && segment.size() >= 2) {
            decoder.restart_interval = word_at(segment, 0);
        } else if (marker == 0xDA) {
            if (decoder.components == 0) {
                throw Error(Errc::bad_codestream, "JPEG scan before the frame header", start);
            }
            const Scan scan = read_scan_header(segment, start, decoder);
            at = decode_scan<Sample>(data, at, decoder, scan, out);
            for (unsigned c = 0; c < scan.count; ++c) {
                done |= 1U << scan.component[c];
            }
            if (done == (1U << decoder.components) - 1U) {
                return;
            }
        }
    }
    throw Error(Errc::bad_codestream, "JPEG lossless code stream ends before all components are decoded", at);
}

ImageInfo probe(std::span<const std::byte> data, const PixelDescription&) {
    const jpeg::Markers markers = jpeg::read_markers(data);
    if (markers.frame_type != 0xC3) {
        throw Error(Errc::bad_codestream, "not a JPEG lossless (SOF3) code stream", markers.frame_header);
    }
    if (markers.precision < 2 || markers.precision > 16) {
        throw Error(Errc::bad_codestream, "JPEG lossless with a precision outside of 2 to 16", markers.frame_header);
    }
    ImageInfo info;
    info.rows = markers.rows;
    info.columns = markers.columns;
    info.components = markers.components;
    info.precision = markers.precision;
    info.colour = jpeg::colour_of(markers);
    return info;
}

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
            std::span<std::byte> out) {
    check_description(d);
    check_fits(info, d);
    check_out(out, d);
    const std::size_t container = bytes_of(sample_type(d));
    if (container == 1) {
        decode_image(data, info, reinterpret_cast<std::uint8_t*>(out.data()));
    } else if (container == 2 && reinterpret_cast<std::uintptr_t>(out.data()) % alignof(std::uint16_t) == 0) {
        decode_image(data, info, reinterpret_cast<std::uint16_t*>(out.data()));
    } else if (container == 2) {
        std::vector<std::uint16_t> aligned(out.size() / 2);
        decode_image(data, info, aligned.data());
        std::memcpy(out.data(), aligned.data(), out.size());
    } else {
        throw Error(Errc::unsupported_pixels, "JPEG lossless with 32 bits allocated has no decoder");
    }
    if (d.pixel_representation == 1 && info.precision < container * 8) {
        extend_sign(out, container, info.precision);
    }
}

}  // namespace

const Codec kCodec{"jpeg_lossless", "hilum", &probe, &decode};

}  // namespace hilum::codec::jpeg_lossless
