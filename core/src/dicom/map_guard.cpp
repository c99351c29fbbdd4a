// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/map_guard.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>

namespace hilum::dicom {
namespace {

// A signal handler has no other way to know what it guards. Addresses, not pointers: nothing is read through them.
struct Guarded {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    volatile sig_atomic_t broken = 0;
};
thread_local Guarded guarded;
std::mutex installing;
struct sigaction before{};

void pass_on(int number, siginfo_t* info, void* context) {
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        ::sigaction(SIGBUS, &before, nullptr);  // the instruction faults again
    }
}

void on_sigbus(int number, siginfo_t* info, void* context) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    if (at < guarded.begin || at >= guarded.end) {
        pass_on(number, info, context);
        return;
    }
    // Zeros from the page of the fault to the end: what follows a cut is gone as well.
    const std::uintptr_t page = at & ~(static_cast<std::uintptr_t>(::getpagesize()) - 1);
    void* const rest = ::mmap(reinterpret_cast<void*>(page), guarded.end - page, PROT_READ,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (rest == MAP_FAILED) {
        pass_on(number, info, context);
        return;
    }
    guarded.broken = 1;
}

void install() {
    const std::lock_guard hold(installing);
    struct sigaction now{};
    if (::sigaction(SIGBUS, nullptr, &now) != 0 ||
        ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_sigbus)) {
        return;
    }
    before = now;
    struct sigaction ours{};
    ours.sa_sigaction = on_sigbus;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&ours.sa_mask);
    ::sigaction(SIGBUS, &ours, nullptr);
}

}  // namespace

MapGuard::MapGuard(std::span<const std::byte> mapped) noexcept {
    install();
    guarded.broken = 0;
    guarded.begin = reinterpret_cast<std::uintptr_t>(mapped.data());
    guarded.end = guarded.begin + mapped.size();
}

MapGuard::~MapGuard() {
    guarded.begin = 0;
    guarded.end = 0;
}

bool MapGuard::broken() const noexcept {
    return guarded.broken != 0;
}

}  // namespace hilum::dicom
