// SPDX-License-Identifier: Apache-2.0
#include "hilum/parallel.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

namespace hilum::parallel {
namespace {

constexpr unsigned kMostThreads = 256;

/// One call of run(): on the caller's stack, in the pool's list while it wants helpers.
struct Job {
    Job(std::size_t indices, Body function) noexcept : count(indices), body(function) {}

    std::size_t count;
    Body body;
    std::atomic<std::size_t> next{0};
    std::atomic<bool> failed{false};
    // under the pool's mutex
    unsigned wanted = 0;   ///< helpers that may still join
    unsigned helping = 0;  ///< helpers inside of work()
    std::mutex error_mutex;
    std::size_t error_index = ~std::size_t{0};
    std::exception_ptr error;

    void work() noexcept {
        while (!failed.load(std::memory_order_relaxed)) {
            const std::size_t index = next.fetch_add(1, std::memory_order_relaxed);
            if (index >= count) {
                return;
            }
            try {
                body(index);
            } catch (...) {
                const std::lock_guard hold(error_mutex);
                if (index < error_index) {
                    error_index = index;
                    error = std::current_exception();
                }
                failed.store(true, std::memory_order_relaxed);
            }
        }
    }
};

class Pool {
public:
    void help_with(Job& job, unsigned helpers) {
        {
            const std::lock_guard hold(mutex_);
            grow(helpers);
            job.wanted = std::min(helpers, started_);
            if (job.wanted != 0) {
                jobs_.push_back(&job);
            }
        }
        helpers == 1 ? work_.notify_one() : work_.notify_all();
        job.work();
        std::unique_lock hold(mutex_);
        jobs_.remove(&job);
        done_.wait(hold, [&] { return job.helping == 0; });
    }

private:
    /// Fewer threads than asked for are no error: the caller works too.
    void grow(unsigned threads) noexcept {
        try {
            for (; started_ < std::min(threads, kMostThreads); ++started_) {
                std::thread([this] { serve(); }).detach();
            }
        } catch (const std::system_error&) {
        }
    }

    [[noreturn]] void serve() noexcept {
        std::unique_lock hold(mutex_);
        for (;;) {
            work_.wait(hold, [this] { return !jobs_.empty(); });
            Job& job = *jobs_.front();
            ++job.helping;
            if (--job.wanted == 0) {
                jobs_.pop_front();
            }
            hold.unlock();
            job.work();
            hold.lock();
            if (--job.helping == 0) {
                done_.notify_all();
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable done_;
    std::list<Job*> jobs_;
    unsigned started_ = 0;
};

std::atomic<Pool*> pool{nullptr};

/// Never destroyed: its threads wait until the process ends. A forked child has none of them, nor a usable mutex: it
/// forgets the pool of its parent.
Pool& the_pool() {
    Pool* current = pool.load(std::memory_order_acquire);
    if (current == nullptr) {
        static const int registered = ::pthread_atfork(nullptr, nullptr, [] { pool.store(nullptr); });
        (void)registered;
        auto made = std::make_unique<Pool>();
        if (pool.compare_exchange_strong(current, made.get())) {
            current = made.release();
        }
    }
    return *current;
}

}  // namespace

unsigned default_threads() noexcept {
    if (const char* text = std::getenv("HILUM_THREADS"); text != nullptr) {
        unsigned value = 0;
        const auto [end, problem] = std::from_chars(text, text + std::strlen(text), value);
        if (problem == std::errc{} && *end == '\0' && value >= 1 && value <= kMostThreads) {
            return value;
        }
    }
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        return std::clamp(static_cast<unsigned>(CPU_COUNT(&allowed)), 1U, kMostThreads);
    }
    return std::clamp(std::thread::hardware_concurrency(), 1U, kMostThreads);
}

void run(std::size_t count, unsigned threads, Body body) {
    const std::size_t most = threads == 0 ? default_threads() : std::min(threads, kMostThreads);
    Job job(count, body);
    if (const auto helpers = static_cast<unsigned>(std::min(most, count)); helpers > 1) {
        the_pool().help_with(job, helpers - 1);
    } else {
        job.work();
    }
    if (job.error) {
        std::rethrow_exception(job.error);
    }
}

}  // namespace hilum::parallel
