// SPDX-License-Identifier: Apache-2.0
#include "check.hpp"
#include "hilum/cpu.hpp"

HILUM_TEST("features are asked once and do not change", {
    const hilum::cpu::Features& first = hilum::cpu::features();
    HILUM_CHECK(&first == &hilum::cpu::features());
});

HILUM_TEST_MAIN
