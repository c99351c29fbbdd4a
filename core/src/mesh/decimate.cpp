// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "hilum/error.hpp"
#include "hilum/mesh/mesh.hpp"
#include "quadric.hpp"

namespace hilum::mesh {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr double kTurn = 0.2;  ///< cosine of how far a triangle may turn

/// An edge that may be collapsed. It is out of date if one of its ends has changed since.
struct Candidate {
    std::uint32_t a;
    std::uint32_t b;
    std::uint32_t versions;  ///< sum of those of both ends: versions only grow
    std::uint32_t next;      ///< in its bucket
};

/// Candidates in the order of their costs, to a hundredth: buckets instead of a heap.
class Queue {
public:
    Queue() : heads_(kBuckets, kNone) {}

    void push(double cost, std::uint32_t a, std::uint32_t b, std::uint32_t versions) {
        std::uint32_t at = free_;
        if (at != kNone) {
            free_ = pool_[at].next;
        } else {
            at = static_cast<std::uint32_t>(pool_.size());
            pool_.emplace_back();
        }
        const std::size_t bucket = std::bit_cast<std::uint32_t>(static_cast<float>(cost)) >> kDropped;
        pool_[at] = {a, b, versions, heads_[bucket]};
        heads_[bucket] = at;
        first_ = std::min(first_, bucket);
    }

    /// False: there is none.
    bool pop(Candidate& found) noexcept {
        while (first_ < kBuckets && heads_[first_] == kNone) {
            ++first_;
        }
        if (first_ == kBuckets) {
            return false;
        }
        const std::uint32_t at = heads_[first_];
        found = pool_[at];
        heads_[first_] = found.next;
        pool_[at].next = free_;
        free_ = at;
        return true;
    }

private:
    static constexpr unsigned kDropped = 16;  ///< bits of the fraction that make no difference
    static constexpr std::size_t kBuckets = std::size_t{1} << (31U - kDropped);

    std::vector<Candidate> pool_;
    std::vector<std::uint32_t> heads_;
    std::uint32_t free_ = kNone;
    std::size_t first_ = kBuckets;
};

class Decimator {
public:
    Decimator(Mesh& mesh, const Decimation& wanted) : mesh_(mesh), wanted_(wanted), alive_(mesh.triangles.size()) {
        const std::size_t count = mesh.vertices.size();
        places_.reserve(count);
        for (const std::array<float, 3>& v : mesh.vertices) {
            places_.push_back({static_cast<double>(v[0]) - mesh.vertices[0][0],
                               static_cast<double>(v[1]) - mesh.vertices[0][1],
                               static_cast<double>(v[2]) - mesh.vertices[0][2]});
        }
        versions_.resize(count);
        marks_.resize(count);
        locked_.resize(count);
        link();
        weigh();
    }

    void run() {
        for (std::uint32_t v = 0; v < places_.size(); ++v) {
            lock_border(v);
        }
        for (const auto& t : mesh_.triangles) {
            for (std::size_t n = 0; n < 3; ++n) {
                const std::uint32_t a = t[n];
                const std::uint32_t b = t[(n + 1) % 3];
                if (a < b || (locked_[a] != 0 && locked_[b] != 0)) {  // an inner edge is there in both directions
                    offer(a, b);
                }
            }
        }
        Candidate next{};
        while (alive_ > wanted_.faces && queue_.pop(next)) {
            if (versions_[next.a] + versions_[next.b] == next.versions) {
                collapse(next.a, next.b);
            }
        }
        pack();
    }

private:
    /// Corners of each vertex, as chains: corner 3 * t + n is triangle t's n-th.
    void link() {
        heads_.assign(places_.size(), kNone);
        chain_.resize(3 * mesh_.triangles.size());
        tails_.assign(places_.size(), kNone);
        for (std::size_t corner = 0; corner < chain_.size(); ++corner) {
            const std::uint32_t v = mesh_.triangles[corner / 3][corner % 3];
            chain_[corner] = heads_[v];
            if (heads_[v] == kNone) {
                tails_[v] = static_cast<std::uint32_t>(corner);
            }
            heads_[v] = static_cast<std::uint32_t>(corner);
        }
    }

    void weigh() {
        quadrics_.resize(places_.size());
        for (const auto& t : mesh_.triangles) {
            const Vec& p = places_[t[0]];
            const Vec normal = cross(places_[t[1]] - p, places_[t[2]] - p);
            for (const std::uint32_t v : t) {
                quadrics_[v].add_plane(normal, p);
            }
        }
    }

    /// Calls run(triangle) for all around a vertex.
    template <typename Run>
    void around(std::uint32_t v, Run&& run) {
        std::uint32_t before = kNone;
        for (std::uint32_t corner = heads_[v]; corner != kNone;) {
            const std::uint32_t following = chain_[corner];
            if (mesh_.triangles[corner / 3][0] == kNone) {  // gone: taken out on the way
                (before == kNone ? heads_[v] : chain_[before]) = following;
                if (following == kNone) {
                    tails_[v] = before;
                }
            } else {
                run(mesh_.triangles[corner / 3]);
                before = corner;
            }
            corner = following;
        }
    }

    /// A vertex is inside of the surface if it has as many neighbours as triangles.
    void lock_border(std::uint32_t v) {
        ++mark_;
        std::uint32_t triangles = 0;
        std::uint32_t neighbours = 0;
        around(v, [&](const std::array<std::uint32_t, 3>& t) {
            ++triangles;
            for (const std::uint32_t n : t) {
                neighbours += n != v && marks_[n] != mark_ ? 1U : 0U;
                marks_[n] = mark_;
            }
        });
        locked_[v] = triangles != neighbours ? 1U : 0U;
    }

    void offer(std::uint32_t a, std::uint32_t b) {
        if (locked_[a] != 0 && locked_[b] != 0) {
            return;
        }
        const Joined joined = join(a, b);
        if (!std::isfinite(joined.cost)) {  // places so far out that their squares are no numbers
            return;
        }
        if (wanted_.error > 0.0 && joined.cost > wanted_.error * wanted_.error * joined.weight) {
            return;
        }
        queue_.push(joined.cost, a, b, versions_[a] + versions_[b]);
    }

    struct Joined {
        Vec place{};
        double cost = 0.0;
        double weight = 0.0;
    };

    /// Where the ends of an edge would go together.
    [[nodiscard]] Joined join(std::uint32_t a, std::uint32_t b) const noexcept {
        Quadric both = quadrics_[a];
        both.add(quadrics_[b]);
        if (locked_[a] != 0 || locked_[b] != 0) {
            const Vec& place = places_[locked_[a] != 0 ? a : b];
            return {place, both.at(place), both.weight};
        }
        const Vec centre = middle(places_[a], places_[b]);
        const Vec side = places_[a] - places_[b];
        const Vec best = both.least(centre);
        const Vec away = best - centre;
        if (dot(away, away) <= 4 * dot(side, side)) {
            return {best, both.at(best), both.weight};
        }
        return {centre, both.at(centre), both.weight};
    }

    void collapse(std::uint32_t a, std::uint32_t b) {
        if (locked_[b] != 0) {
            std::swap(a, b);
        }
        const Joined joined = join(a, b);
        if (!may_join(a, b) || turns(a, b, joined.place) || turns(b, a, joined.place)) {
            return;
        }
        around(b, [&](std::array<std::uint32_t, 3>& t) {
            if (t[0] == a || t[1] == a || t[2] == a) {
                t[0] = kNone;
                --alive_;
                return;
            }
            std::ranges::replace(t, b, a);
        });
        append(a, b);
        places_[a] = joined.place;
        quadrics_[a].add(quadrics_[b]);
        ++versions_[a];
        ++versions_[b];
        ++mark_;
        around(a, [&](const std::array<std::uint32_t, 3>& t) {
            for (const std::uint32_t n : t) {
                if (n != a && marks_[n] != mark_) {
                    marks_[n] = mark_;
                    offer(a, n);
                }
            }
        });
    }

    void append(std::uint32_t a, std::uint32_t b) noexcept {
        if (heads_[b] == kNone) {
            return;
        }
        (heads_[a] == kNone ? heads_[a] : chain_[tails_[a]]) = heads_[b];
        tails_[a] = tails_[b];
        heads_[b] = kNone;
        tails_[b] = kNone;
    }

    /// Whether the surface stays one: the ends have just those two neighbours in common that their edge has, and these
    /// and the joined vertex keep three neighbours at least.
    [[nodiscard]] bool may_join(std::uint32_t a, std::uint32_t b) {
        mark_ += 2;
        std::uint32_t around_a = 0;
        around(a, [&](const std::array<std::uint32_t, 3>& t) {
            ++around_a;
            for (const std::uint32_t n : t) {
                marks_[n] = mark_;
            }
        });
        const std::uint32_t seen = mark_ - 1U;
        std::uint32_t around_b = 0;
        std::uint32_t common = 0;
        bool thick = true;
        around(b, [&](const std::array<std::uint32_t, 3>& t) {
            ++around_b;
            for (const std::uint32_t n : t) {
                if (n != a && n != b && marks_[n] == mark_) {
                    marks_[n] = seen;
                    ++common;
                    thick = thick && (locked_[n] != 0 || triangles_of(n) > 3);
                }
            }
        });
        return common == 2 && thick && around_a + around_b >= 7;
    }

    [[nodiscard]] std::uint32_t triangles_of(std::uint32_t v) {
        std::uint32_t count = 0;
        around(v, [&](const std::array<std::uint32_t, 3>&) { ++count; });
        return count;
    }

    /// Whether a triangle of `moved`, but not of `other`, would turn over or vanish with it at `place`.
    [[nodiscard]] bool turns(std::uint32_t moved, std::uint32_t other, const Vec& place) {
        bool found = false;
        around(moved, [&](const std::array<std::uint32_t, 3>& t) {
            if (found || t[0] == other || t[1] == other || t[2] == other) {
                return;
            }
            const std::size_t n = t[0] == moved ? 0 : t[1] == moved ? 1 : 2;
            const Vec& p = places_[t[(n + 1) % 3]];
            const Vec& q = places_[t[(n + 2) % 3]];
            const Vec before = cross(q - p, places_[moved] - p);
            const Vec after = cross(q - p, place - p);
            const double length = dot(after, after);
            found = dot(before, after) <= kTurn * std::sqrt(dot(before, before) * length) ||
                    length <= 1e-8 * dot(q - p, q - p) * dot(q - p, q - p);
        });
        return found;
    }

    /// Takes out what is gone.
    void pack() {
        std::erase_if(mesh_.triangles, [](const auto& t) { return t[0] == kNone; });
        const std::array<float, 3> origin = mesh_.vertices[0];
        std::vector<std::uint32_t> numbers(places_.size(), kNone);
        std::uint32_t next = 0;
        for (auto& t : mesh_.triangles) {
            for (std::uint32_t& v : t) {
                numbers[v] = 0;
            }
        }
        for (std::size_t v = 0; v < numbers.size(); ++v) {
            if (numbers[v] == kNone) {
                continue;
            }
            for (std::size_t n = 0; n < 3; ++n) {
                mesh_.vertices[next][n] = static_cast<float>(places_[v][n] + static_cast<double>(origin[n]));
            }
            numbers[v] = next++;
        }
        mesh_.vertices.resize(next);
        for (auto& t : mesh_.triangles) {
            for (std::uint32_t& v : t) {
                v = numbers[v];
            }
        }
    }

    Mesh& mesh_;
    const Decimation& wanted_;
    std::uint64_t alive_;
    std::vector<Vec> places_;
    std::vector<Quadric> quadrics_;
    std::vector<std::uint32_t> versions_;
    std::vector<std::uint32_t> heads_;
    std::vector<std::uint32_t> tails_;
    std::vector<std::uint32_t> chain_;
    std::vector<std::uint32_t> marks_;
    std::vector<std::uint8_t> locked_;
    std::uint32_t mark_ = 0;
    Queue queue_;
};

}  // namespace

void decimate(Mesh& mesh, const Decimation& wanted) {
    if (!std::isfinite(wanted.error) || wanted.error < 0.0) {
        throw Error(Errc::invalid_argument, "the error of a decimation must be a length in mm");
    }
    if (mesh.triangles.size() > wanted.faces) {
        Decimator(mesh, wanted).run();
    }
}

}  // namespace hilum::mesh
