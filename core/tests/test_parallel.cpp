// SPDX-License-Identifier: Apache-2.0
#include "hilum/parallel.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"

namespace {

using hilum::parallel::for_each;

}  // namespace

HILUM_TEST("every index once, with any number of threads, nested and from several callers", {
    for (const unsigned threads : {0U, 1U, 2U, 5U, 300U}) {
        for (const std::size_t count : {0U, 1U, 2U, 1000U}) {
            std::vector<std::atomic<int>> seen(count);
            for_each(count, threads, [&](std::size_t i) { ++seen[i]; });
            for (const auto& each : seen) {
                HILUM_CHECK(each == 1);
            }
        }
    }
    std::atomic<int> calls{0};
    const auto nested = [&] { for_each(10, 3, [&](std::size_t) { for_each(10, 3, [&](std::size_t) { ++calls; }); }); };
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
        callers.emplace_back(nested);
    }
    for (std::thread& caller : callers) {
        caller.join();
    }
    HILUM_CHECK(calls == 400);
});

HILUM_TEST("the exception of the lowest index, whoever was first", {
    for (int round = 0; round < 200; ++round) {
        std::string what;
        try {
            for_each(100, 4, [](std::size_t i) {
                if (i == 41 || i >= 43) {
                    throw std::runtime_error(std::to_string(i));
                }
            });
        } catch (const std::runtime_error& error) {
            what = error.what();
        }
        HILUM_CHECK(what == "41");
    }
});

HILUM_TEST("a forked child starts threads of its own", {
    const auto sum = [] {
        std::atomic<std::size_t> total{0};
        for_each(100, 3, [&](std::size_t i) { total += i; });
        return total.load();
    };
    HILUM_CHECK(sum() == 4950);
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(sum() == 4950 ? 0 : 1);
    }
    int status = -1;
    HILUM_CHECK(::waitpid(child, &status, 0) == child);
    HILUM_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    HILUM_CHECK(sum() == 4950);
});

HILUM_TEST_MAIN
