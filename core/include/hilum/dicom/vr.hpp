// SPDX-License-Identifier: Apache-2.0
// Value representations (PS3.5 section 6.2). The number of a Vr is its two characters as they stand in a file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace hilum::dicom {

[[nodiscard]] constexpr std::uint16_t vr_number(char first, char second) noexcept {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(first) |
                                      (static_cast<unsigned>(static_cast<unsigned char>(second)) << 8U));
}

#define HILUM_VR(a, b) a##b = vr_number(#a[0], #b[0])
enum class Vr : std::uint16_t {
    none = 0,  ///< not written (implicit VR): see effective_vr
    HILUM_VR(A, E),
    HILUM_VR(A, S),
    HILUM_VR(A, T),
    HILUM_VR(C, S),
    HILUM_VR(D, A),
    HILUM_VR(D, S),
    HILUM_VR(D, T),
    HILUM_VR(F, D),
    HILUM_VR(F, L),
    HILUM_VR(I, S),
    HILUM_VR(L, O),
    HILUM_VR(L, T),
    HILUM_VR(O, B),
    HILUM_VR(O, D),
    HILUM_VR(O, F),
    HILUM_VR(O, L),
    HILUM_VR(O, V),
    HILUM_VR(O, W),
    HILUM_VR(P, N),
    HILUM_VR(S, H),
    HILUM_VR(S, L),
    HILUM_VR(S, Q),
    HILUM_VR(S, S),
    HILUM_VR(S, T),
    HILUM_VR(S, V),
    HILUM_VR(T, M),
    HILUM_VR(U, C),
    HILUM_VR(U, I),
    HILUM_VR(U, L),
    HILUM_VR(U, N),
    HILUM_VR(U, R),
    HILUM_VR(U, S),
    HILUM_VR(U, T),
    HILUM_VR(U, V),
    // Only out of the dictionary, never in a file; resolve_vr makes one of the above of them.
    ox = vr_number('o', 'x'),  ///< OB or OW
    xs = vr_number('x', 's'),  ///< US or SS
    xw = vr_number('x', 'w'),  ///< US or OW (LUT data; also US or SS or OW)
};
#undef HILUM_VR

/// What a parser has to know of a VR.
struct VrTraits {
    bool known = false;        ///< in PS3.5 Table 6.2-1
    bool long_length = false;  ///< 2 reserved bytes and a 32-bit length in explicit VR (PS3.5 Table 7.1-1)
    bool string = false;       ///< characters; the rest are numbers, bytes or sequences
    bool text = false;         ///< characters in the Specific Character Set (PS3.5 section 6.1.2)
    bool single = false;       ///< a backslash is text, not a delimiter (ST LT UT UR)
    std::uint8_t unit = 1;     ///< bytes of one number, the unit of byte swapping
};

namespace detail {

constexpr std::array<VrTraits, 26 * 26> make_vr_traits() noexcept {
    std::array<VrTraits, 26 * 26> table{};
    const auto set = [&table](const char* vr, VrTraits traits) {
        traits.known = true;
        table[static_cast<std::size_t>((vr[0] - 'A') * 26 + (vr[1] - 'A'))] = traits;
    };
    for (const char* vr : {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"}) {
        set(vr, {.string = true});
    }
    for (const char* vr : {"LO", "SH", "PN"}) {
        set(vr, {.string = true, .text = true});
    }
    for (const char* vr : {"LT", "ST"}) {
        set(vr, {.string = true, .text = true, .single = true});
    }
    set("UC", {.long_length = true, .string = true, .text = true});
    set("UT", {.long_length = true, .string = true, .text = true, .single = true});
    set("UR", {.long_length = true, .string = true, .single = true});
    set("AT", {.unit = 2});
    set("SS", {.unit = 2});
    set("US", {.unit = 2});
    set("FL", {.unit = 4});
    set("SL", {.unit = 4});
    set("UL", {.unit = 4});
    set("FD", {.unit = 8});
    set("SV", {.long_length = true, .unit = 8});
    set("UV", {.long_length = true, .unit = 8});
    set("OB", {.long_length = true});
    set("UN", {.long_length = true});
    set("SQ", {.long_length = true});
    set("OW", {.long_length = true, .unit = 2});
    set("OF", {.long_length = true, .unit = 4});
    set("OL", {.long_length = true, .unit = 4});
    set("OD", {.long_length = true, .unit = 8});
    set("OV", {.long_length = true, .unit = 8});
    return table;
}

inline constexpr std::array<VrTraits, 26 * 26> kVrTraits = make_vr_traits();
inline constexpr VrTraits kUnknownVr{};

}  // namespace detail

/// Both characters are A-Z: a VR, known or of a later edition. Anything else is not explicit VR.
[[nodiscard]] constexpr bool looks_like_vr(std::uint16_t number) noexcept {
    const unsigned first = (number & 0xFFU) - 'A';
    const unsigned second = (static_cast<unsigned>(number) >> 8U) - 'A';
    return first < 26U && second < 26U;
}

[[nodiscard]] constexpr const VrTraits& traits_of(Vr vr) noexcept {
    const auto number = static_cast<std::uint16_t>(vr);
    if (!looks_like_vr(number)) {
        return detail::kUnknownVr;
    }
    const unsigned first = (number & 0xFFU) - 'A';
    const unsigned second = (static_cast<unsigned>(number) >> 8U) - 'A';
    return detail::kVrTraits[first * 26U + second];
}

/// The two characters; "" for Vr::none.
[[nodiscard]] inline std::string to_string(Vr vr) {
    const auto number = static_cast<std::uint16_t>(vr);
    if (number == 0) {
        return {};
    }
    return {static_cast<char>(number & 0xFFU), static_cast<char>(number >> 8U)};
}

}  // namespace hilum::dicom
