// SPDX-License-Identifier: Apache-2.0
#include "blend_kernels.hpp"

#if defined(__x86_64__)
#include "walk_avx2.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace hilum::render::avx2 {
namespace {

template <bool Maximum>
__m256 better(__m256 a, __m256 b) noexcept {
    return Maximum ? _mm256_max_ps(a, b) : _mm256_min_ps(a, b);
}

/// The best of eight in all lanes.
template <bool Maximum>
__m256 best_of(__m256 v) noexcept {
    v = better<Maximum>(v, _mm256_permute2f128_ps(v, v, 1));
    v = better<Maximum>(v, _mm256_shuffle_ps(v, v, 0x4E));
    return better<Maximum>(v, _mm256_shuffle_ps(v, v, 0xB1));
}

template <bool Maximum>
__m256 is_better(__m256 a, __m256 b) noexcept {
    return _mm256_cmp_ps(a, b, Maximum ? _CMP_GT_OQ : _CMP_LT_OQ);
}

/// Eight samples of one ray at a time: each ray ends as early as it can.
template <typename T, bool Maximum>
float extreme(const Sampler8<T>& sampler, const Track& track, std::span<const Block> blocks, const CellGrid::Fine* fine,
              bool skip) noexcept {
    constexpr float kWorst = Maximum ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
    const Walker walker(track);
    const __m256 worst = _mm256_set1_ps(kWorst);
    __m256 found = worst;
    for (const Block& block : blocks) {
        const float bound = Maximum ? block.greatest : block.least;
        if (skip && _mm256_movemask_ps(is_better<Maximum>(_mm256_set1_ps(bound), found)) == 0) {
            break;
        }
        const std::int64_t k = block.index * 8;
        const std::int64_t first = track.first - k;
        const std::int64_t last = track.last - k;
        if (first >= 8 || last <= 0) {
            continue;
        }
        const __m256 better_than = found;
        const auto look = [&]<bool Inner>(std::bool_constant<Inner>) {
            const auto place = walker.place<Inner>(sampler, k);
            if (fine != nullptr) {
                const __m256 bounds =
                    sampler.bounds(Maximum ? fine->greatest : fine->least, sampler.cell_of(place, *fine));
                if (_mm256_movemask_ps(is_better<Maximum>(bounds, better_than)) == 0) {
                    return worst;
                }
            }
            return sampler.template linear<Inner>(place);
        };
        __m256 value = block.is_inner ? look(std::true_type{}) : look(std::false_type{});
        if (first > 0 || last < 8) {
            value = _mm256_blendv_ps(worst, value, lanes_between(first, last));
        }
        found = best_of<Maximum>(better<Maximum>(found, value));
    }
    return _mm256_cvtss_f32(found);
}

/// `body(values, rays that have this sample)` for the samples of a block, one of each ray.
template <typename T, typename Body>
void for_samples(const Sampler8<T>& sampler, const Bundle& bundle, const Block& block, Body&& body) noexcept {
    const std::int64_t begin = std::max(bundle.begin, block.index * 8);
    const std::int64_t end = std::min(bundle.end, block.index * 8 + 8);
    typename Sampler8<T>::Place places[8];
    __m256i inside[8];
    __m256 values[8];
    const auto go = [&]<bool Inner>(std::bool_constant<Inner>) {
        Cursor cursor(bundle, begin);
        std::size_t count = 0;
        for (std::int64_t k = begin; k < end; ++k, cursor.advance(), ++count) {
            sampler.copy(cursor.place<Inner>(sampler), places[count]);
            inside[count] = bundle.inside(k);
        }
        sampler.template linear_many<Inner>(count, places, inside, values);
        for (std::size_t i = 0; i < count; ++i) {
            body(values[i], inside[i]);
        }
    };
    block.is_inner ? go(std::true_type{}) : go(std::false_type{});
}

/// All rays of a bundle, sample by sample: less work for each than to look for what can be left out.
template <typename T, bool Maximum>
void bundle_of_extremes(const Sampler8<T>& sampler, std::span<const Track, kLanes> tracks,
                        std::span<const Block> blocks, std::span<float, kLanes> values) noexcept {
    constexpr float kWorst = Maximum ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
    const Bundle bundle(tracks);
    const __m256 worst = _mm256_set1_ps(kWorst);
    __m256 found = worst;
    for (const Block& block : blocks) {
        for_samples(sampler, bundle, block, [&](__m256 value, __m256i inside) {
            found = better<Maximum>(found, _mm256_blendv_ps(worst, value, _mm256_castsi256_ps(inside)));
        });
    }
    _mm256_storeu_ps(values.data(), found);
}

template <typename T>
void mean(const Grid& grid, std::span<const Track, kLanes> tracks, std::span<const Block> blocks,
          std::span<double, kLanes> values) noexcept {
    const Sampler8<T> sampler(grid);
    const Bundle bundle(tracks);
    const __m256 scale = _mm256_set1_ps(kernels::kSumScale);
    __m256i sums = _mm256_setzero_si256();
    __m256i counts = _mm256_setzero_si256();
    for (const Block& block : blocks) {
        for_samples(sampler, bundle, block, [&](__m256 value, __m256i inside) {
            const __m256i whole = _mm256_cvtps_epi32(_mm256_mul_ps(value, scale));
            sums = _mm256_add_epi32(sums, _mm256_and_si256(whole, inside));
            counts = _mm256_sub_epi32(counts, inside);
        });
    }
    alignas(32) std::int32_t sum[8];
    alignas(32) std::int32_t count[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(sum), sums);
    _mm256_store_si256(reinterpret_cast<__m256i*>(count), counts);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = count[i] == 0
                        ? std::numeric_limits<double>::quiet_NaN()
                        : static_cast<double>(sum[i]) / static_cast<double>(count[i]) / double{kernels::kSumScale};
    }
}

/// Rays of fewer blocks are looked at as a whole.
constexpr std::size_t kFewBlocks = 8;

template <typename T, bool Maximum>
void extremes(const Grid& grid, const Tile& tile, const CellGrid::Fine* fine, bool skip,
              std::span<double, kTileRays> values) noexcept {
    const Sampler8<T> sampler(grid);
    std::array<float, kTileRays> found{};
    if (tile.blocks.size() < kFewBlocks) {
        for (std::size_t i = 0; i < kBundles; ++i) {
            bundle_of_extremes<T, Maximum>(sampler, bundle_of(tile.tracks, i), tile.blocks, bundle_of(found, i));
        }
    } else {
        for (std::size_t i = 0; i < values.size(); ++i) {
            found[i] = extreme<T, Maximum>(sampler, tile.tracks[i], tile.blocks, fine, skip);
        }
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = std::isinf(found[i]) ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(found[i]);
    }
}

}  // namespace
}  // namespace hilum::render::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

namespace hilum::render::kernels {

template <typename T>
void extremes_8(const Grid& grid, const CellGrid& cells, const Tile& tile, bool maximum, bool skip,
                std::span<double, kTileRays> values) noexcept {
#if defined(__x86_64__)
    const CellGrid::Fine* const fine = skip && !cells.fine.least.empty() ? &cells.fine : nullptr;
    maximum ? avx2::extremes<T, true>(grid, tile, fine, skip, values)
            : avx2::extremes<T, false>(grid, tile, fine, skip, values);
#else
    const Sampler<T> sampler(grid);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = maximum ? extreme<T, true>(sampler, tile.tracks[i], tile.blocks, Interpolation::linear, skip)
                            : extreme<T, false>(sampler, tile.tracks[i], tile.blocks, Interpolation::linear, skip);
    }
#endif
}

template <typename T>
void means_8(const Grid& grid, const Tile& tile, std::span<double, kTileRays> values) noexcept {
#if defined(__x86_64__)
    for (std::size_t i = 0; i < kBundles; ++i) {
        avx2::mean<T>(grid, bundle_of(tile.tracks, i), tile.blocks, bundle_of(values, i));
    }
#else
    for (std::size_t i = 0; i < kTileRays; ++i) {
        values[i] = mean<T>(Sampler<T>(grid), tile.tracks[i], tile.blocks, Interpolation::linear);
    }
#endif
}

template void extremes_8<std::int16_t>(const Grid&, const CellGrid&, const Tile&, bool, bool,
                                       std::span<double, kTileRays>) noexcept;
template void extremes_8<std::uint16_t>(const Grid&, const CellGrid&, const Tile&, bool, bool,
                                        std::span<double, kTileRays>) noexcept;
template void means_8<std::int16_t>(const Grid&, const Tile&, std::span<double, kTileRays>) noexcept;
template void means_8<std::uint16_t>(const Grid&, const Tile&, std::span<double, kTileRays>) noexcept;

}  // namespace hilum::render::kernels
