// SPDX-License-Identifier: Apache-2.0
// HTJ2K without loss (ISO/IEC 15444-15): bare code stream, resolution first (RPCL), tile-part length in a TLM marker
// segment (15444-1 A.7.1). As many decompositions as bring the longer side below 64, at least 5, so that a viewer has a
// small image early. With loss, and above 32768 rows or columns: OpenJPH, see htj2k_openjph.hpp.
#include <algorithm>
#include <cstring>
#include <memory>

#include "hilum/codec/encode.hpp"
#include "hilum/error.hpp"
#include "htj2k_openjph.hpp"
#include "j2k/analysis.hpp"
#include "j2k/ht_encode.hpp"
#include "j2k/write.hpp"

namespace hilum::codec::htj2k {
namespace {

constexpr std::uint32_t kMostSide = 32768;  // of one precinct

unsigned decompositions(const PixelDescription& d) noexcept {
    unsigned count = 0;
    for (std::uint32_t side = std::max(d.rows, d.columns); side > 64 && count < 32; side = (side + 1) / 2) {
        ++count;
    }
    return std::max(count, 5U);
}

/// A subband on its way to code-blocks.
class BandEncoder final : public j2k::StripeSink {
public:
    BandEncoder(std::uint32_t width, std::uint32_t height, j2k::HtBlockEncoder& blocks, j2k::CodedBand& out)
        : StripeSink(width), blocks_(blocks), out_(out) {
        if (width > 0 && height > 0) {
            out.across = (width + kRows - 1) / kRows;
            out.down = (height + kRows - 1) / kRows;
        }
    }

private:
    void take(const std::int32_t* data, std::size_t stride, std::uint32_t width, std::uint32_t rows) override {
        for (std::uint32_t x = 0; x < width; x += kRows) {
            const auto bytes = blocks_.encode(data + x, stride, std::min(kRows, width - x), rows);
            out_.lengths.push_back(static_cast<std::uint32_t>(bytes.size()));
            out_.bytes.insert(out_.bytes.end(), bytes.begin(), bytes.end());
        }
    }

    j2k::HtBlockEncoder& blocks_;
    j2k::CodedBand& out_;
};

/// The levels of one component.
class ComponentEncoder {
public:
    ComponentEncoder(const j2k::CodedImage& image, std::vector<j2k::CodedResolution>& out,
                     j2k::HtBlockEncoder& blocks) {
        out.resize(image.levels + 1);
        const auto half = [](std::uint32_t side, unsigned levels) {
            return static_cast<std::uint32_t>((std::uint64_t{side} + (std::uint64_t{1} << levels) - 1) >> levels);
        };
        out[0].bands.resize(1);
        bands_.push_back(std::make_unique<BandEncoder>(half(image.columns, image.levels),
                                                       half(image.rows, image.levels), blocks, out[0].bands[0]));
        for (unsigned r = 1; r <= image.levels; ++r) {
            const std::uint32_t width = half(image.columns, image.levels - r);
            const std::uint32_t height = half(image.rows, image.levels - r);
            out[r].bands.resize(3);
            for (unsigned b = 0; b < 3; ++b) {
                const std::uint32_t across = b == 1 ? (width + 1) / 2 : width / 2;
                const std::uint32_t down = b == 0 ? (height + 1) / 2 : height / 2;
                bands_.push_back(std::make_unique<BandEncoder>(across, down, blocks, out[r].bands[b]));
            }
            const std::size_t first = bands_.size() - 3;
            levels_.push_back(std::make_unique<j2k::Analysis>(width, levels_.empty() ? nullptr : levels_.back().get(),
                                                              bands_[0].get(), *bands_[first], *bands_[first + 1],
                                                              *bands_[first + 2]));
        }
    }
    [[nodiscard]] j2k::Analysis& top() noexcept { return *levels_.back(); }

private:
    std::vector<std::unique_ptr<BandEncoder>> bands_;
    std::vector<std::unique_ptr<j2k::Analysis>> levels_;  ///< from the lowest
};

/// Samples of one row, `step` apart, less `shift`. Unused bits: cleared or filled with the sign, by the type.
template <typename Sample>
void fill_row(const std::byte* from, std::size_t step, std::uint32_t columns, unsigned unused, std::int32_t shift,
              std::int32_t* to) noexcept {
    for (std::uint32_t x = 0; x < columns; ++x) {
        Sample value{};
        std::memcpy(&value, from + x * step * sizeof(Sample), sizeof(value));
        to[x] = static_cast<Sample>(static_cast<Sample>(value << unused) >> unused) - shift;
    }
}

using FillRow = void (*)(const std::byte*, std::size_t, std::uint32_t, unsigned, std::int32_t, std::int32_t*);

FillRow choose_fill(const PixelDescription& d) noexcept {
    if (d.bits_allocated == 8) {
        return d.pixel_representation == 1 ? &fill_row<std::int8_t> : &fill_row<std::uint8_t>;
    }
    return d.pixel_representation == 1 ? &fill_row<std::int16_t> : &fill_row<std::uint16_t>;
}

/// G.2, in place.
void reversible_transform(std::int32_t* red, std::int32_t* green, std::int32_t* blue, std::uint32_t n) noexcept {
    for (std::uint32_t i = 0; i < n; ++i) {
        const std::int32_t r = red[i];
        const std::int32_t g = green[i];
        const std::int32_t b = blue[i];
        red[i] = (r + 2 * g + b) >> 2;
        green[i] = b - g;
        blue[i] = r - g;
    }
}

std::size_t encode_reversible(std::span<const std::byte> samples, const PixelDescription& d, std::span<std::byte> out) {
    j2k::CodedImage image;
    image.rows = d.rows;
    image.columns = d.columns;
    image.precision = precision_of(samples, d);
    image.is_signed = d.pixel_representation == 1;
    image.colour_transform = d.samples_per_pixel == 3 && d.photometric == Photometric::rgb;
    image.levels = decompositions(d);
    image.components.resize(d.samples_per_pixel);
    j2k::HtBlockEncoder blocks;
    std::vector<ComponentEncoder> components;
    for (auto& coded : image.components) {
        components.emplace_back(image, coded, blocks);
    }
    const FillRow fill = choose_fill(d);
    const std::size_t container = d.bits_allocated / 8U;
    const unsigned unused = d.bits_allocated - image.precision;
    const std::int32_t shift = image.is_signed ? 0 : 1 << (image.precision - 1);
    const std::byte* row = samples.data();
    for (std::uint32_t y = 0; y < d.rows; ++y, row += std::size_t{d.columns} * d.samples_per_pixel * container) {
        for (std::size_t c = 0; c < components.size(); ++c) {
            fill(row + c * container, d.samples_per_pixel, d.columns, unused, shift, components[c].top().next());
        }
        if (image.colour_transform) {
            reversible_transform(components[0].top().next(), components[1].top().next(), components[2].top().next(),
                                 d.columns);
        }
        for (ComponentEncoder& component : components) {
            component.top().advance();
        }
    }
    for (ComponentEncoder& component : components) {
        component.top().finish();
    }
    return j2k::write_code_stream(image, out);
}

void check(const PixelDescription& d, const EncodeOptions& options) {
    check_integers(d, "HTJ2K");
    if (!(options.step >= 0) || options.step > 0.5) {
        throw Error(Errc::invalid_argument, "the quantisation step of HTJ2K must be 0 (lossless) to 0.5");
    }
}

void check_lossless(const PixelDescription& d, const EncodeOptions& options) {
    check(d, options);
    if (options.step != 0) {
        throw Error(Errc::invalid_argument,
                    "a quantisation step needs 1.2.840.10008.1.2.4.203: this syntax is lossless");
    }
}

/// HT cleanup passes of noise may take more than the samples have; headers and packet headers come on top.
std::uint64_t bound(const PixelDescription& d) {
    return 65536 + 4 * frame_bytes(d);
}

std::size_t encode(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions& options,
                   std::span<std::byte> out) {
    if (options.step != 0 || d.rows > kMostSide || d.columns > kMostSide) {
        return encode_by_openjph(samples, d, options.step, decompositions(d), out);
    }
    return encode_reversible(samples, d, out);
}

}  // namespace

const Encoder kEncodeLossless{"htj2k", "hilum", &check_lossless, &bound, &encode};
const Encoder kEncode{"htj2k", "hilum", &check, &bound, &encode};

}  // namespace hilum::codec::htj2k
