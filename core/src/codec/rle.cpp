// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/rle.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "hilum/codec/native.hpp"
#include "hilum/error.hpp"
#include "sample_kernels.hpp"

namespace hilum::codec::rle {
namespace {

constexpr std::size_t kHeaderBytes = 64;
constexpr unsigned kMaxSegments = 15;
/// Room after a plane, so that short runs and literals are written as two whole vectors. The longest is 128 bytes.
constexpr std::size_t kSlack = 160;

struct Header {
    unsigned segments = 0;
    std::array<std::uint32_t, kMaxSegments + 1> start{};  ///< start[segments] is the frame's length
};

std::uint32_t word_at(std::span<const std::byte> data, std::size_t at) noexcept {
    std::uint32_t word = 0;
    std::memcpy(&word, data.data() + at, sizeof(word));
    return word;
}

Header read_header(std::span<const std::byte> data) {
    if (data.size() < kHeaderBytes) {
        throw Error(Errc::bad_codestream, "RLE frame shorter than its header", data.size());
    }
    Header header;
    header.segments = word_at(data, 0);
    if (header.segments == 0 || header.segments > kMaxSegments) {
        throw Error(Errc::bad_codestream, "RLE header: the number of segments is not 1 to 15", 0);
    }
    std::uint64_t previous = kHeaderBytes;
    for (unsigned i = 0; i < header.segments; ++i) {
        header.start[i] = word_at(data, 4 * (i + std::size_t{1}));
        if (header.start[i] < previous || header.start[i] > data.size()) {
            throw Error(Errc::bad_codestream, "RLE header: segment offset outside of the frame or not ascending",
                        4 * (i + std::uint64_t{1}));
        }
        previous = header.start[i];
    }
    header.start[header.segments] = static_cast<std::uint32_t>(data.size());
    return header;
}

/// 16 bytes at a time, up to 15 (literal) bytes beyond `count` are written: the caller guarantees the room.
void copy_wide(std::byte* to, const std::byte* from, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; i += 16) {
        std::memcpy(to + i, from + i, 16);
    }
}

void fill_wide(std::byte* to, std::byte value, std::size_t count) noexcept {
    std::array<std::byte, 16> pattern;
    pattern.fill(value);
    for (std::size_t i = 0; i < count; i += 16) {
        std::memcpy(to + i, pattern.data(), 16);
    }
}

/// Decodes whole packets while neither side can be overrun; stops at the first that might.
/// The two vectors written without asking cover most packets of medical images without a loop.
void unpack_fast(const std::byte*& in, const std::byte* in_end, std::byte*& out, const std::byte* out_end) noexcept {
    constexpr std::ptrdiff_t kIn = 160;
    constexpr auto kOut = static_cast<std::ptrdiff_t>(kSlack);
    while (in_end - in >= kIn && out_end - out >= kOut) {
        const auto control = static_cast<unsigned>(*in);
        if (control < 128) {
            const std::size_t count = control + 1U;
            std::memcpy(out, in + 1, 32);
            if (count > 32) {
                copy_wide(out + 32, in + 33, count - 32);
            }
            in += count + 1;
            out += count;
        } else if (control > 128) {
            const std::size_t count = 257U - control;
            fill_wide(out, in[1], 32);
            if (count > 32) {
                fill_wide(out + 32, in[1], count - 32);
            }
            in += 2;
            out += count;
        } else {
            ++in;
        }
    }
}

/// The same, exact to the byte, until `stop` has been reached. Extra output beyond `out_end` is dropped (encoders pad).
void unpack_careful(const std::byte*& in, const std::byte* in_end, std::byte*& out, const std::byte* stop,
                    const std::byte* out_end) noexcept {
    while (out < stop && in < in_end) {
        const auto control = static_cast<unsigned>(*in);
        const auto room = static_cast<std::size_t>(out_end - out);
        const auto left = static_cast<std::size_t>(in_end - in) - 1;
        if (control < 128) {
            const std::size_t wanted = control + 1U < room ? control + 1U : room;
            if (left < wanted) {
                return;
            }
            std::memcpy(out, in + 1, wanted);
            in += wanted + 1;
            out += wanted;
        } else if (control > 128) {
            if (left < 1) {
                return;
            }
            const std::size_t wanted = 257U - control < room ? 257U - control : room;
            std::memset(out, static_cast<int>(in[1]), wanted);
            in += 2;
            out += wanted;
        } else {
            ++in;
        }
    }
}

/// Bytes that the packets up to the end would give. Counting stops at `enough`.
std::size_t count_output(const std::byte* in, const std::byte* in_end, std::size_t enough) noexcept {
    std::size_t bytes = 0;
    while (in < in_end && bytes < enough) {
        const auto control = static_cast<unsigned>(*in);
        const auto left = static_cast<std::size_t>(in_end - in) - 1;
        const std::size_t taken = control < 128 ? control + 1U : (control > 128 ? 1U : 0U);
        if (left < taken) {
            break;
        }
        bytes += control < 128 ? taken : (control > 128 ? 257U - control : 0U);
        in += taken + 1;
    }
    return bytes;
}

[[noreturn]] void fail_short(std::uint64_t offset) {
    throw Error(
        Errc::bad_codestream,
        "RLE segment ends before the image does: it is cut, or Rows (0028,0010) or Columns (0028,0011) are wrong",
        offset);
}

/// Encoders pad, but not by a row or more: then the image is a larger one. `beyond`: bytes that were too many already.
void check_end(const std::byte* in, const std::byte* in_end, std::size_t beyond, std::size_t row,
               std::uint64_t offset) {
    if (row > 1 && beyond + count_output(in, in_end, row) >= row) {
        throw Error(Errc::bad_codestream, "RLE segment holds more than Rows (0028,0010) x Columns (0028,0011) samples",
                    offset);
    }
}

/// One segment into `out`. `slack` bytes behind it may be overwritten.
void unpack_segment(std::span<const std::byte> data, std::uint64_t offset, std::span<std::byte> out, std::size_t slack,
                    std::size_t row) {
    const std::byte* in = data.data();
    const std::byte* in_end = in + data.size();
    std::byte* at = out.data();
    const std::byte* end = at + out.size();
    unpack_fast(in, in_end, at, end + slack);
    unpack_careful(in, in_end, at, end, end);
    if (at < end) {
        fail_short(offset + static_cast<std::uint64_t>(in - data.data()));
    }
    check_end(in, in_end, static_cast<std::size_t>(at - end), row,
              offset + static_cast<std::uint64_t>(in - data.data()));
}

/// One of several segments, unpacked strip by strip.
class Plane {
public:
    Plane(std::span<const std::byte> data, std::uint64_t offset, std::byte* strip) noexcept
        : begin_(data.data()), in_(begin_), in_end_(begin_ + data.size()), offset_(offset), strip_(strip) {}

    /// At least `size` bytes into the strip, up to kStrip; `last`: what follows is dropped.
    void fill(std::size_t size, bool last) {
        std::byte* at = strip_ + have_;
        const std::byte* in = in_;  // in a register: bytes that are written might be this object
        unpack_fast(in, in_end_, at, strip_ + size + kSlack);
        unpack_careful(in, in_end_, at, strip_ + size, strip_ + size + (last ? 0 : kMostOfPacket));
        in_ = in;
        have_ = static_cast<std::size_t>(at - strip_);
        if (have_ < size) {
            fail_short(position());
        }
    }

    /// What is left behind the first `size` bytes becomes the start of the next strip.
    void take(std::size_t size) noexcept {
        have_ -= size;
        std::memmove(strip_, strip_ + size, have_);
    }

    void finish(std::size_t row) const { check_end(in_, in_end_, have_, row, position()); }

    static constexpr std::size_t kStrip = 16384;
    static constexpr std::size_t kStride = kStrip + 2 * kSlack;  ///< strips may be overwritten by as much

private:
    static constexpr std::size_t kMostOfPacket = 128;

    [[nodiscard]] std::uint64_t position() const noexcept { return offset_ + static_cast<std::uint64_t>(in_ - begin_); }

    const std::byte* begin_;
    const std::byte* in_;
    const std::byte* in_end_;
    std::uint64_t offset_;
    std::byte* strip_;
    std::size_t have_ = 0;
};

void merge_planes(const std::byte* planes, std::size_t stride, unsigned samples, std::size_t container,
                  std::size_t pixels, std::byte* out) noexcept {
    if (container == 1) {
        native::interleave_planes(planes, stride, samples, 1, pixels, out);
        return;
    }
    if (container == 2 && samples == 1) {
        sample_kernels().merge_2(planes, planes + stride, pixels, out);
        return;
    }
    for (unsigned s = 0; s < samples; ++s) {
        for (std::size_t b = 0; b < container; ++b) {
            const std::byte* plane = planes + (s * container + b) * stride;
            std::byte* to = out + s * container + (container - 1 - b);
            const std::size_t step = samples * container;
            for (std::size_t i = 0; i < pixels; ++i) {
                to[i * step] = plane[i];
            }
        }
    }
}

/// Larger ones: what is unpacked is merged before it has left the cache.
constexpr std::size_t kStripsAbove = 256 << 10;

/// Samples of a byte of all planes, `strips` being where they unpack to, Plane::kStride apart.
void merge_strips(std::span<Plane> planes, const std::byte* strips, std::size_t row, std::span<std::byte> out) {
    const std::size_t pixels = out.size() / planes.size();
    for (std::size_t done = 0; done < pixels;) {
        const std::size_t size = std::min(Plane::kStrip, pixels - done);
        for (Plane& plane : planes) {
            plane.fill(size, done + size == pixels);
        }
        native::interleave_planes(strips, Plane::kStride, static_cast<unsigned>(planes.size()), 1, size,
                                  out.data() + done * planes.size());
        for (Plane& plane : planes) {
            plane.take(size);
        }
        done += size;
    }
    for (const Plane& plane : planes) {
        plane.finish(row);
    }
}

ImageInfo probe(std::span<const std::byte> data, const PixelDescription& d) {
    check_description(d);
    const Header header = read_header(data);
    const std::size_t wanted = d.samples_per_pixel * bytes_of(sample_type(d));
    if (header.segments != wanted) {
        throw Error(Errc::bad_codestream,
                    "RLE header: " + std::to_string(header.segments) + " segments, the pixel description needs " +
                        std::to_string(wanted),
                    0);
    }
    ImageInfo info;
    info.rows = d.rows;
    info.columns = d.columns;
    info.components = d.samples_per_pixel;
    info.precision = d.bits_stored;
    info.is_signed = d.pixel_representation == 1;
    return info;
}

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
            std::span<std::byte> out) {
    check_fits(info, d);
    check_out(out, d);
    const Header header = read_header(data);
    const std::size_t container = bytes_of(sample_type(d));
    const std::size_t pixels = std::size_t{d.rows} * d.columns;
    const std::size_t row = d.bits_allocated == 1 ? (d.columns + std::size_t{7}) / 8 : d.columns;
    const auto segment = [&](unsigned index) {
        return data.subspan(header.start[index], header.start[index + 1] - header.start[index]);
    };
    if (d.bits_allocated != 1 && header.segments == 1) {
        unpack_segment(segment(0), header.start[0], out, 0, row);
        extract_stored(out, d);
        return;
    }
    if (container == 1 && header.segments > 1 && out.size() > kStripsAbove) {
        std::vector<Plane> planes;
        const auto strips = std::make_unique_for_overwrite<std::byte[]>(Plane::kStride * header.segments);
        for (unsigned i = 0; i < header.segments; ++i) {
            planes.emplace_back(segment(i), header.start[i], strips.get() + i * Plane::kStride);
        }
        merge_strips(planes, strips.get(), row, out);
        extract_stored(out, d);
        return;
    }
    const std::size_t plane = d.bits_allocated == 1 ? (pixels + 7) / 8 : pixels;
    const std::size_t stride = plane + kSlack;
    const auto planes = std::make_unique_for_overwrite<std::byte[]>(stride * header.segments);
    for (unsigned i = 0; i < header.segments; ++i) {
        unpack_segment(segment(i), header.start[i], {planes.get() + i * stride, plane}, kSlack, row);
    }
    if (d.bits_allocated == 1) {
        native::unpack_bits({planes.get(), plane}, 0, out);
    } else {
        merge_planes(planes.get(), stride, d.samples_per_pixel, container, pixels, out.data());
        extract_stored(out, d);
    }
}

}  // namespace

const Codec kCodec{"rle", "hilum", &probe, &decode};

}  // namespace hilum::codec::rle
