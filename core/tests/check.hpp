// SPDX-License-Identifier: Apache-2.0
// The core's test harness: HILUM_CHECK counts, reports file and line, and main() returns whether all held.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "hilum/error.hpp"

namespace hilum::test {

struct Case {
    const char* name;
    std::function<void()> body;
};

inline std::vector<Case>& cases() {
    static std::vector<Case> all;
    return all;
}

inline int& failures() {
    static int count = 0;
    return count;
}

inline int& checks() {
    static int count = 0;
    return count;
}

struct Register {
    Register(const char* name, std::function<void()> body) { cases().push_back({name, std::move(body)}); }
};

inline void check(bool held, const char* what, const char* file, int line) {
    ++checks();
    if (!held) {
        ++failures();
        std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    }
}

template <typename Function>
void check_throws(Errc code, Function&& function, const char* file, int line) {
    ++checks();
    try {
        function();
    } catch (const Error& error) {
        if (error.code() == code) {
            return;
        }
        std::fprintf(stderr, "%s:%d: wrong code %d: %s\n", file, line, static_cast<int>(error.code()), error.what());
        ++failures();
        return;
    }
    std::fprintf(stderr, "%s:%d: did not throw\n", file, line);
    ++failures();
}

inline int run_all() {
    int passed = 0;
    int failed = 0;
    for (const Case& test : cases()) {
        const int before = failures();
        test.body();
        if (failures() == before) {
            ++passed;
        } else {
            ++failed;
            std::fprintf(stderr, "FAILED %s\n", test.name);
        }
    }
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace hilum::test

#define HILUM_TEST_CONCAT(a, b) a##b
#define HILUM_TEST_NAME(line) HILUM_TEST_CONCAT(hilum_test_, line)
/// HILUM_TEST("name", { body });
#define HILUM_TEST(title, ...) static const ::hilum::test::Register HILUM_TEST_NAME(__LINE__)(title, [] __VA_ARGS__)
#define HILUM_CHECK(condition) ::hilum::test::check((condition), #condition, __FILE__, __LINE__)
#define HILUM_CHECK_THROWS(code, ...) \
    ::hilum::test::check_throws((code), [&] { (void)(__VA_ARGS__); }, __FILE__, __LINE__)
#define HILUM_TEST_MAIN                  \
    int main() {                         \
        return ::hilum::test::run_all(); \
    }
