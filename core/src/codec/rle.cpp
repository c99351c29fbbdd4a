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

/// Whether at least two packets of 128 times the same byte follow. `in`: 4 bytes at least.
bool is_long_run(const std::byte* in) noexcept {
    constexpr std::byte kMost{257 - 128};
    return in[0] == kMost && in[2] == kMost && in[1] == in[3];
}

void fill_wide(std::byte* to, std::byte value, std::size_t count) noexcept {
    using Vector [[gnu::vector_size(16)]] = unsigned char;  // an array would go through memory
    const Vector pattern = Vector{} + static_cast<unsigned char>(value);
    for (std::size_t i = 0; i < count; i += 16) {
        std::memcpy(to + i, &pattern, 16);
    }
}

/// Decodes whole packets while neither side can be overrun; stops at the first that might.
/// The two vectors written without asking cover most packets of medical images without a loop.
/// `StopAtRuns`: stops at a long run as well.
template <bool StopAtRuns>
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
                if (StopAtRuns && is_long_run(in)) {
                    return;
                }
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
    unpack_fast<false>(in, in_end, at, end + slack);
    unpack_careful(in, in_end, at, end, end);
    if (at < end) {
        fail_short(offset + static_cast<std::uint64_t>(in - data.data()));
    }
    check_end(in, in_end, static_cast<std::size_t>(at - end), row,
              offset + static_cast<std::uint64_t>(in - data.data()));
}

/// One of several segments, unpacked strip by strip. Long runs of one byte are counted, not written.
class Plane {
public:
    Plane(std::span<const std::byte> data, std::uint64_t offset, std::byte* strip) noexcept
        : begin_(data.data()), in_(begin_), in_end_(begin_ + data.size()), offset_(offset), strip_(strip) {}

    /// Unpacks when nothing is left: up to kStrip bytes, up to a long run, or the run. `most`: what the image still
    /// needs.
    void fill(std::size_t most) {
        if (have_ + run_ > 0) {
            return;
        }
        const std::size_t size = std::min(kStrip, most);
        std::byte* at = strip_;
        const std::byte* in = in_;  // in a register: bytes that are written might be this object
        unpack_fast<true>(in, in_end_, at, strip_ + size + kSlack);
        if (in_end_ - in >= 4 && is_long_run(in)) {
            in = count_run(in, most);
        } else {
            unpack_careful(in, in_end_, at, strip_ + size, strip_ + size + (size < most ? kMostOfPacket : 0));
        }
        in_ = in;
        start_ = 0;
        have_ = static_cast<std::size_t>(at - strip_);
        if (run_ == 0 && have_ < size) {
            fail_short(position());
        }
    }

    [[nodiscard]] std::size_t unpacked() const noexcept { return have_; }
    [[nodiscard]] std::size_t available() const noexcept { return have_ + run_; }

    /// Takes `size` bytes, at most available() and kStrip + kMostOfPacket.
    [[nodiscard]] const std::byte* take(std::size_t size) noexcept {
        if (have_ == 0) {
            start_ = 0;
        }
        const std::byte* taken = strip_ + start_;
        if (have_ < size) {
            std::memset(strip_ + start_ + have_, static_cast<int>(value_), size - have_);
            run_ -= size - have_;
            have_ = size;
        }
        have_ -= size;
        start_ += size;
        return taken;
    }

    /// Takes `size` bytes of the run, all of this value.
    [[nodiscard]] std::byte take_run(std::size_t size) noexcept {
        run_ -= size;
        return value_;
    }

    void finish(std::size_t row) const { check_end(in_, in_end_, have_ + run_, row, position()); }

    static constexpr std::size_t kMostOfPacket = 128;
    static constexpr std::size_t kStrip = 4096;
    /// A strip is unpacked to its beginning; a part of a run as long as one may follow.
    static constexpr std::size_t kStride = 2 * (kStrip + kMostOfPacket) + kSlack;

private:
    /// Adds up the packets that repeat the same byte, until they are enough. Returns what follows them.
    [[nodiscard]] const std::byte* count_run(const std::byte* in, std::size_t enough) noexcept {
        value_ = in[1];
        while (in_end_ - in >= 2 && static_cast<unsigned>(in[0]) > 128 && in[1] == value_ && run_ < enough) {
            run_ += 257U - static_cast<unsigned>(in[0]);
            in += 2;
        }
        return in;
    }

    [[nodiscard]] std::uint64_t position() const noexcept { return offset_ + static_cast<std::uint64_t>(in_ - begin_); }

    const std::byte* begin_;
    const std::byte* in_;
    const std::byte* in_end_;
    std::uint64_t offset_;
    std::byte* strip_;
    std::size_t start_ = 0;
    std::size_t have_ = 0;  ///< bytes in the strip from start_ on, before the run
    std::size_t run_ = 0;
    std::byte value_{};
};

void interleave(std::span<const std::byte* const> planes, std::size_t pixels, std::byte* out) noexcept {
    if (planes.size() == 2) {
        return sample_kernels().merge_2(planes[1], planes[0], pixels, out);
    }
    if (planes.size() == 3) {
        return sample_kernels().interleave_3(planes[0], planes[1], planes[2], pixels, out);
    }
    for (std::size_t s = 0; s < planes.size(); ++s) {
        for (std::size_t i = 0; i < pixels; ++i) {
            out[i * planes.size() + s] = planes[s][i];
        }
    }
}

/// `pixels` times the same samples.
void fill_pixels(std::span<const std::byte> samples, std::size_t pixels, std::byte* out) noexcept {
    const std::size_t bytes = pixels * samples.size();
    if (std::ranges::all_of(samples, [&](std::byte each) { return each == samples[0]; })) {
        std::memset(out, static_cast<int>(samples[0]), bytes);
        return;
    }
    std::memcpy(out, samples.data(), samples.size());
    for (std::size_t done = samples.size(); done < bytes;) {
        const std::size_t next = std::min(done, bytes - done);
        std::memcpy(out + done, out, next);
        done += next;
    }
}

/// A byte of each plane in turn, in strips that stay in the cache; where all have a run, it goes to `out` at once.
void merge_strips(std::span<Plane> planes, std::size_t row, std::span<std::byte> out) {
    const std::size_t samples = planes.size();
    const std::size_t pixels = out.size() / samples;
    std::array<const std::byte*, kMaxSegments> strips{};
    std::array<std::byte, kMaxSegments> values{};
    for (std::size_t done = 0; done < pixels;) {
        std::size_t longest = 0;
        std::size_t size = pixels - done;
        for (Plane& plane : planes) {
            plane.fill(pixels - done);
            longest = std::max(longest, plane.unpacked());
            size = std::min(size, plane.available());
        }
        std::byte* to = out.data() + done * samples;
        if (longest == 0) {
            for (std::size_t i = 0; i < samples; ++i) {
                values[i] = planes[i].take_run(size);
            }
            fill_pixels({values.data(), samples}, size, to);
        } else {
            size = std::min(size, longest);
            for (std::size_t i = 0; i < samples; ++i) {
                strips[i] = planes[i].take(size);
            }
            interleave({strips.data(), samples}, size, to);
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
    if (d.bits_allocated == 1) {
        const std::size_t bytes = (pixels + 7) / 8;
        const auto plane = std::make_unique_for_overwrite<std::byte[]>(bytes + kSlack);
        unpack_segment(segment(0), header.start[0], {plane.get(), bytes}, kSlack, row);
        native::unpack_bits({plane.get(), bytes}, 0, out);
        return;
    }
    if (header.segments == 1) {
        unpack_segment(segment(0), header.start[0], out, 0, row);
    } else {
        std::vector<Plane> planes;  // in the order of the bytes of a pixel; segments begin with a sample's highest byte
        const auto strips = std::make_unique_for_overwrite<std::byte[]>(Plane::kStride * header.segments);
        for (unsigned i = 0; i < header.segments; ++i) {
            const auto index = static_cast<unsigned>(i / container * container + (container - 1 - i % container));
            planes.emplace_back(segment(index), header.start[index], strips.get() + i * Plane::kStride);
        }
        merge_strips(planes, row, out);
    }
    extract_stored(out, d);
}

}  // namespace

const Codec kCodec{"rle", "hilum", &probe, &decode};

}  // namespace hilum::codec::rle
