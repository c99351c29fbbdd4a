// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg12.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "../jpeg_segments.hpp"
#include "entropy.hpp"
#include "hilum/codec/jpeg.hpp"
#include "hilum/error.hpp"

namespace hilum::codec::jpeg12 {
namespace {

constexpr unsigned kMaxScans = 256;  ///< a progressive code stream may repeat scans without end

using jpeg::byte_at;
using jpeg::word_at;

ImageInfo probe(std::span<const std::byte> data, const PixelDescription&) {
    const jpeg::Markers markers = jpeg::read_markers(data);
    const unsigned type = markers.frame_type;
    if ((type != 0xC1 && type != 0xC2) || markers.precision != 12) {
        throw Error(Errc::unsupported_pixels, "no 12-bit Huffman coded DCT code stream", markers.frame_header);
    }
    ImageInfo info = jpeg::info_of(markers, "JPEG");
    info.lossy = true;
    return info;
}

class Reader {
public:
    Reader(std::span<const std::byte> data, const ImageInfo& info) : data_(data), info_(info) {}

    /// All segments up to the end of the image.
    void run() {
        while (const auto segment = jpeg::next_segment(data_, at_)) {
            take(segment->marker, segment->content, segment->start);
            if (!progressive_ && scanned_ == (1U << info_.components) - 1U) {
                return;
            }
        }
        if (scanned_ != (1U << info_.components) - 1U) {
            throw Error(Errc::truncated, "JPEG ends before its last component", at_);
        }
    }

    void write(const PixelDescription& d, std::span<std::byte> out) const {
        std::array<std::uint16_t, 64> samples;
        for (unsigned c = 0; c < info_.components; ++c) {
            const Component& component = components_[c];
            const auto& quantisation = quantisation_[component.quantisation];
            for (std::uint32_t block = 0; block < component.blocks_across * component.blocks_down; ++block) {
                transform(component.coefficients.data() + std::size_t{block} * 64, quantisation, samples);
                const std::uint32_t top = block / component.blocks_across * 8;
                const std::uint32_t left = block % component.blocks_across * 8;
                store(samples, top, left, c, d, out);
            }
        }
    }

private:
    static void store(const std::array<std::uint16_t, 64>& samples, std::uint32_t top, std::uint32_t left,
                      unsigned component, const PixelDescription& d, std::span<std::byte> out) noexcept {
        const std::size_t container = bytes_of(sample_type(d));
        const std::size_t step = d.samples_per_pixel * container;
        const std::uint32_t width = std::min(8U, d.columns - left);
        for (std::uint32_t y = 0; y < std::min(8U, d.rows - top); ++y) {
            std::byte* to = out.data() + (std::size_t{top + y} * d.columns + left) * step + component * container;
            const std::uint16_t* from = samples.data() + std::size_t{y} * 8;
            if (step == 2) {
                std::memcpy(to, from, std::size_t{width} * 2);
                continue;
            }
            for (std::uint32_t x = 0; x < width; ++x, to += step) {
                if (container == 2) {
                    std::memcpy(to, from + x, 2);
                } else {
                    const std::uint32_t wide = from[x];
                    std::memcpy(to, &wide, 4);
                }
            }
        }
    }

    void take(unsigned marker, std::span<const std::byte> segment, std::size_t start) {
        switch (marker) {
            case 0xC1:
            case 0xC2:
                take_frame(segment, marker == 0xC2, start);
                break;
            case 0xC4:
                take_huffman(segment, start);
                break;
            case 0xDB:
                take_quantisation(segment, start);
                break;
            case 0xDD:
                if (segment.size() < 2) {
                    throw Error(Errc::bad_codestream, "JPEG restart interval is too short", start);
                }
                restart_interval_ = word_at(segment, 0);
                break;
            case 0xDA:
                take_scan(segment, start);
                break;
            default:
                break;
        }
    }

    void take_frame(std::span<const std::byte> segment, bool progressive, std::size_t start) {
        if (framed_ || word_at(segment, 1) != info_.rows || word_at(segment, 3) != info_.columns) {
            throw Error(Errc::bad_codestream, "JPEG code stream with two frame headers", start);
        }
        // No block comes from less than one bit: so what a header declares takes no more than 1 KiB for each byte.
        const std::uint64_t blocks = std::uint64_t{(info_.columns + 7U) / 8U} * ((info_.rows + 7U) / 8U);
        if (blocks * info_.components > 8 * std::uint64_t{data_.size()}) {
            throw Error(Errc::truncated, "JPEG: an image of this size cannot come from so few bytes", start);
        }
        framed_ = true;
        progressive_ = progressive;
        for (unsigned c = 0; c < info_.components; ++c) {
            Component& component = components_[c];
            component.id = byte_at(segment, 6 + 3U * c);
            // One component may claim any sampling: it is alone in its units (A.2.2).
            if (info_.components > 1 && byte_at(segment, 7 + 3U * c) != byte_at(segment, 7)) {
                throw Error(Errc::unsupported_pixels, "12-bit JPEG with subsampled components has no decoder", start);
            }
            component.quantisation = byte_at(segment, 8 + 3U * c);
            if (component.quantisation > 3) {
                throw Error(Errc::bad_codestream, "JPEG quantisation table above 3", start);
            }
            component.blocks_across = (info_.columns + 7) / 8;
            component.blocks_down = (info_.rows + 7) / 8;
            component.coefficients.assign(std::size_t{component.blocks_across} * component.blocks_down * 64, 0);
        }
        if (info_.components > 1 && byte_at(segment, 7) != 0x11) {
            throw Error(Errc::unsupported_pixels, "12-bit JPEG with units of several blocks has no decoder", start);
        }
    }

    void take_huffman(std::span<const std::byte> segment, std::size_t start) {
        for (std::size_t at = 0; at < segment.size();) {
            std::array<std::uint8_t, 16> counts{};
            std::array<std::uint8_t, 256> symbols{};
            std::size_t total = 0;
            const unsigned kind = byte_at(segment, at);
            if (segment.size() - at < 17 || (kind & 0xEFU) > 3) {
                throw Error(Errc::bad_codestream, "JPEG Huffman table is too short or has no place", start);
            }
            for (std::size_t i = 0; i < 16; ++i) {
                counts[i] = static_cast<std::uint8_t>(byte_at(segment, at + 1 + i));
                total += counts[i];
            }
            if (total > 256 || segment.size() - at - 17 < total) {
                throw Error(Errc::bad_codestream, "JPEG Huffman table has too many codes", start);
            }
            std::memcpy(symbols.data(), segment.data() + at + 17, total);
            if (!build(huffman_[kind >> 4U][kind & 3U], counts, std::span(symbols).first(total))) {
                throw Error(Errc::bad_codestream, "JPEG Huffman table is not possible", start);
            }
            at += 17 + total;
        }
    }

    void take_quantisation(std::span<const std::byte> segment, std::size_t start) {
        for (std::size_t at = 0; at < segment.size();) {
            const unsigned kind = byte_at(segment, at);
            const std::size_t width = kind >> 4U == 0 ? 1 : 2;
            if (kind >> 4U > 1 || (kind & 15U) > 3 || segment.size() - at - 1 < 64 * width) {
                throw Error(Errc::bad_codestream, "JPEG quantisation table is too short or has no place", start);
            }
            for (std::size_t i = 0; i < 64; ++i) {
                const std::size_t place = at + 1 + i * width;
                quantisation_[kind & 15U][i] =
                    static_cast<std::uint16_t>(width == 1 ? byte_at(segment, place) : word_at(segment, place));
            }
            at += 1 + 64 * width;
        }
    }

    void take_scan(std::span<const std::byte> segment, std::size_t start) {
        const unsigned count = segment.empty() ? 0 : byte_at(segment, 0);
        if (!framed_ || count == 0 || count > info_.components || segment.size() < 4 + 2U * count ||
            ++scans_ > kMaxScans) {
            throw Error(Errc::bad_codestream, "JPEG scan header does not fit the frame header", start);
        }
        Scan scan;
        scan.count = count;
        scan.progressive = progressive_;
        scan.restart_interval = restart_interval_;
        if (progressive_) {
            scan.first = byte_at(segment, 1 + 2U * count);
            scan.last = byte_at(segment, 2 + 2U * count);
            scan.high = byte_at(segment, 3 + 2U * count) >> 4U;
            scan.low = byte_at(segment, 3 + 2U * count) & 15U;
            const bool dc = scan.first == 0;
            if (scan.last > 63 || scan.first > scan.last || (dc && scan.last != 0) || (!dc && count != 1) ||
                scan.low > 13 || (scan.high != 0 && scan.high != scan.low + 1)) {
                throw Error(Errc::bad_codestream, "JPEG progression is not possible", start);
            }
        }
        for (unsigned i = 0; i < count; ++i) {
            take_part(scan, i, segment, start);
        }
        BitReader reader(data_.data() + at_, data_.data() + data_.size());
        const Outcome outcome = read_scan(reader, data_.data() + data_.size(), scan);
        at_ = static_cast<std::size_t>(reader.position() - data_.data());
        if (outcome != Outcome::good) {
            throw Error(outcome == Outcome::ended ? Errc::truncated : Errc::bad_codestream,
                        outcome == Outcome::ended        ? "JPEG data ends before the last sample"
                        : outcome == Outcome::no_restart ? "JPEG restart marker is missing"
                                                         : "JPEG data is damaged",
                        at_);
        }
        while (at_ + 1 < data_.size() && (byte_at(data_, at_) != 0xFF || byte_at(data_, at_ + 1) == 0)) {
            ++at_;
        }
    }

    void take_part(Scan& scan, unsigned i, std::span<const std::byte> segment, std::size_t start) {
        Scan::Part& part = scan.parts[i];
        unsigned index = 0;
        for (; index < info_.components; ++index) {
            if (components_[index].id == byte_at(segment, 1 + 2U * i)) {
                break;
            }
        }
        const unsigned tables = byte_at(segment, 2 + 2U * i);
        if (index == info_.components || (tables >> 4U) > 3 || (tables & 15U) > 3) {
            throw Error(Errc::bad_codestream, "JPEG scan names a component or table that is not there", start);
        }
        part.component = &components_[index];
        part.dc = &huffman_[0][tables >> 4U];
        part.ac = &huffman_[1][tables & 15U];
        const bool needs_dc = !scan.progressive || (scan.first == 0 && scan.high == 0);
        const bool needs_ac = !scan.progressive || scan.first != 0;
        if ((needs_dc && !part.dc->defined) || (needs_ac && !part.ac->defined)) {
            throw Error(Errc::bad_codestream, "JPEG scan names a Huffman table that is not there", start);
        }
        scanned_ |= 1U << index;
    }

    std::span<const std::byte> data_;
    const ImageInfo& info_;
    std::size_t at_ = 2;
    bool framed_ = false;
    bool progressive_ = false;
    unsigned scanned_ = 0;
    unsigned scans_ = 0;
    unsigned restart_interval_ = 0;
    std::array<Component, 4> components_;
    std::array<std::array<HuffmanTable, 4>, 2> huffman_{};
    std::array<std::array<std::uint16_t, 64>, 4> quantisation_{};
};

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
            std::span<std::byte> out) {
    check_description(d);
    check_fits(info, d);
    check_out(out, d);
    const auto reader = std::make_unique<Reader>(data, info);
    reader->run();
    reader->write(d, out);
    if (d.pixel_representation == 1) {
        extend_sign(out, bytes_of(sample_type(d)), info.precision);
    }
}

}  // namespace

const Codec kCodec{"jpeg12", "hilum", &probe, &decode};

}  // namespace hilum::codec::jpeg12
