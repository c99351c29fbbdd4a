// SPDX-License-Identifier: Apache-2.0
// Loops over several threads: a small pool that is started at first use and kept. Fork-safe: a child starts its own.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace hilum::parallel {

/// Threads of a loop that does not say: HILUM_THREADS (1-256), else the processors that this process may run on, now.
[[nodiscard]] unsigned default_threads() noexcept;

/// A borrowed callable of one index; lives as long as the call that it is given to.
class Body {
public:
    template <typename Function>
        requires(!std::is_same_v<std::remove_cvref_t<Function>, Body>)
    explicit Body(Function& function) noexcept
        : object_(std::addressof(function)),
          call_([](void* object, std::size_t index) { (*static_cast<Function*>(object))(index); }) {}
    void operator()(std::size_t index) const { call_(object_, index); }

private:
    void* object_;
    void (*call_)(void*, std::size_t);
};

/// Calls `body` for 0 to count - 1, on the calling thread and up to `threads` - 1 others (0: default_threads()), and
/// returns when all are done. Indices are begun in order. If some throw, no more are begun, and the exception of the
/// lowest index is thrown: the same one however many threads there are. May be nested and called from any thread.
void run(std::size_t count, unsigned threads, Body body);

template <typename Function>
void for_each(std::size_t count, unsigned threads, Function&& function) {
    run(count, threads, Body(function));
}

}  // namespace hilum::parallel
