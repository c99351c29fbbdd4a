// SPDX-License-Identifier: Apache-2.0
#include "hilum/cpu.hpp"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace hilum::cpu {
namespace {

Features detect() noexcept {
    Features found;
    const char* forced = std::getenv("HILUM_CPU");
    if (forced != nullptr && std::strcmp(forced, "scalar") == 0) {
        return found;
    }
#if defined(__x86_64__)
    found.sse42 = __builtin_cpu_supports("sse4.2") != 0;
    found.avx2 = __builtin_cpu_supports("avx2") != 0;
    found.fma = __builtin_cpu_supports("fma") != 0;
    const bool to_avx2 = forced != nullptr && std::strcmp(forced, "avx2") == 0;
    found.avx512bw = !to_avx2 && found.fma && __builtin_cpu_supports("avx512bw") != 0;
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
        found.sha = (ebx & (1U << 29U)) != 0;
        found.bmi2 = (ebx & (1U << 3U)) != 0 && (ebx & (1U << 8U)) != 0;
    }
    found.bmi2 = found.bmi2 && __get_cpuid(0x80000001U, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1U << 5U)) != 0;
#endif
    return found;
}

}  // namespace

const Features& features() noexcept {
    static const Features found = detect();
    return found;
}

}  // namespace hilum::cpu
