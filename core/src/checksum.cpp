// SPDX-License-Identifier: Apache-2.0
#include "hilum/checksum.hpp"

#include <openssl/evp.h>

#include "hilum/error.hpp"

namespace hilum {
namespace {

/// Fetched once: an implicit fetch costs more than hashing a small object.
const EVP_MD* algorithm() {
    static const EVP_MD* const found = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (found == nullptr) {
        throw Error(Errc::out_of_memory, "OpenSSL has no SHA-256");
    }
    return found;
}

void require(int success) {
    if (success != 1) {
        throw Error(Errc::out_of_memory, "SHA-256 failed: out of memory");
    }
}

struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using Owned = std::unique_ptr<EVP_MD_CTX, Free>;

Owned make_context() {
    Owned context(EVP_MD_CTX_new());
    if (!context) {
        throw Error(Errc::out_of_memory, "SHA-256 failed: out of memory");
    }
    return context;
}

Sha256Digest finish(EVP_MD_CTX* context) {
    Sha256Digest digest{};
    unsigned length = 0;
    require(EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(digest.data()), &length));
    return digest;
}

}  // namespace

struct Sha256::Context {
    Owned handle = make_context();
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
    require(EVP_DigestInit_ex2(context_->handle.get(), algorithm(), nullptr));
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> data) {
    require(EVP_DigestUpdate(context_->handle.get(), data.data(), data.size()));
}

Sha256Digest Sha256::digest() const {
    const Owned copy = make_context();
    require(EVP_MD_CTX_copy_ex(copy.get(), context_->handle.get()));
    return finish(copy.get());
}

Sha256Digest sha256(std::span<const std::byte> data) {
    const Owned context = make_context();
    require(EVP_DigestInit_ex2(context.get(), algorithm(), nullptr));
    require(EVP_DigestUpdate(context.get(), data.data(), data.size()));
    return finish(context.get());
}

}  // namespace hilum
