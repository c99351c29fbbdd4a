// SPDX-License-Identifier: Apache-2.0
#include "cases.hpp"

#include <cstddef>

namespace hilum::mesh {
namespace {

constexpr std::size_t kEdges = 12;
constexpr std::uint8_t kNone = 0xFF;

/// The edge between two corners that differ in one bit.
constexpr std::uint8_t edge_between(unsigned a, unsigned b) noexcept {
    const unsigned low = a & b;
    switch (a ^ b) {
        case 1:
            return static_cast<std::uint8_t>(low >> 1U);
        case 2:
            return static_cast<std::uint8_t>(4U + (low & 1U) + 2U * (low >> 2U));
        default:
            return static_cast<std::uint8_t>(8U + (low & 3U));
    }
}

/// Corners of a face, counter-clockwise seen from outside of the cell.
constexpr std::array<unsigned, 4> face_corners(unsigned axis, bool upper) noexcept {
    const unsigned u = 1U << ((axis + 1U) % 3U);
    const unsigned v = 1U << ((axis + 2U) % 3U);
    const unsigned base = upper ? 1U << axis : 0U;
    if (upper) {
        return {base, base + u, base + u + v, base + v};
    }
    return {base, base + v, base + u + v, base + u};
}

/// Bit f: the edge lies on face f = 2 * axis + upper.
constexpr std::array<unsigned, kEdges> faces_of_edges() noexcept {
    std::array<unsigned, kEdges> found{};
    for (unsigned face = 0; face < 6; ++face) {
        const std::array<unsigned, 4> corners = face_corners(face / 2U, face % 2U != 0);
        for (unsigned n = 0; n < 4; ++n) {
            found[edge_between(corners[n], corners[(n + 1U) % 4U])] |= 1U << face;
        }
    }
    return found;
}

/// The edge that follows each crossed edge on the line around the inside. Each run of inside corners of a face is cut
/// off for itself: the rule looks at the face alone, so the cell beyond draws the same lines.
std::array<std::uint8_t, kEdges> lines_of(unsigned inside) noexcept {
    std::array<std::uint8_t, kEdges> next{};
    next.fill(kNone);
    for (unsigned face = 0; face < 6; ++face) {
        const std::array<unsigned, 4> corners = face_corners(face / 2U, face % 2U != 0);
        const auto is_inside = [&](unsigned n) { return ((inside >> corners[n % 4U]) & 1U) != 0; };
        for (unsigned n = 0; n < 4; ++n) {
            if (is_inside(n) || !is_inside(n + 1U)) {
                continue;
            }
            unsigned last = n + 1U;
            while (is_inside(last + 1U)) {
                ++last;
            }
            const std::uint8_t enter = edge_between(corners[n], corners[(n + 1U) % 4U]);
            next[enter] = edge_between(corners[last % 4U], corners[(last + 1U) % 4U]);
        }
    }
    return next;
}

struct Loop {
    std::array<std::uint8_t, kEdges> edges{};
    std::size_t size = 0;
};

/// Cuts a loop into triangles, without a diagonal that lies in a face of the cell: the cell beyond might draw it too.
bool triangulate(const Loop& loop, Case& out) noexcept {
    static constexpr std::array<unsigned, kEdges> kFaces = faces_of_edges();
    for (std::size_t ear = 0; ear < loop.size; ++ear) {
        const std::uint8_t a = loop.edges[ear];
        const std::uint8_t b = loop.edges[(ear + 1) % loop.size];
        const std::uint8_t c = loop.edges[(ear + 2) % loop.size];
        if (loop.size > 3 && (kFaces[a] & kFaces[c]) != 0) {
            continue;
        }
        const std::size_t at = std::size_t{3} * out.triangles;
        out.edges[at] = a;
        out.edges[at + 1] = b;
        out.edges[at + 2] = c;
        ++out.triangles;
        if (loop.size == 3) {
            return true;
        }
        Loop rest;
        for (std::size_t n = 0; n < loop.size; ++n) {
            if (n != (ear + 1) % loop.size) {
                rest.edges[rest.size++] = loop.edges[n];
            }
        }
        if (triangulate(rest, out)) {
            return true;
        }
        --out.triangles;
    }
    return false;
}

Case make_case(unsigned inside) noexcept {
    Case made;
    std::array<std::uint8_t, kEdges> next = lines_of(inside);
    for (std::uint8_t first = 0; first < kEdges; ++first) {
        Loop loop;
        for (std::uint8_t edge = first; next[edge] != kNone;) {
            loop.edges[loop.size++] = edge;
            const std::uint8_t following = next[edge];
            next[edge] = kNone;
            edge = following;
        }
        if (loop.size != 0) {
            triangulate(loop, made);
        }
    }
    return made;
}

std::array<Case, 256> make_cases() noexcept {
    std::array<Case, 256> all{};
    for (unsigned inside = 0; inside < all.size(); ++inside) {
        all[inside] = make_case(inside);
    }
    return all;
}

}  // namespace

const std::array<Case, 256>& cases() noexcept {
    static const std::array<Case, 256> all = make_cases();
    return all;
}

}  // namespace hilum::mesh
