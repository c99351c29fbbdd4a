// SPDX-License-Identifier: Apache-2.0
// HTJ2K code streams for tests, written by OpenJPH.
#pragma once

#include <openjph/ojph_arch.h>
#include <openjph/ojph_codestream.h>
#include <openjph/ojph_file.h>
#include <openjph/ojph_mem.h>
#include <openjph/ojph_params.h>

#include <vector>

#include "j2k_encoder.hpp"

namespace hilum::test {

struct HtParameters {
    unsigned levels = 5;
    unsigned block_width = 64, block_height = 64;
    const char* progression = "RPCL";
    bool colour_transform = false;
    float step = 0;  ///< 0: reversible
    unsigned tile_width = 0, tile_height = 0;
    std::vector<ojph::size> precincts;
};

inline std::vector<std::byte> encode_ht(const Picture& p, const HtParameters& parameters) {
    ojph::codestream stream;
    ojph::param_siz siz = stream.access_siz();
    siz.set_image_extent(ojph::point(p.x0 + p.columns, p.y0 + p.rows));
    siz.set_image_offset(ojph::point(p.x0, p.y0));
    if (parameters.tile_width != 0) {
        siz.set_tile_size(ojph::size(parameters.tile_width, parameters.tile_height));
    }
    siz.set_num_components(p.components);
    for (unsigned c = 0; c < p.components; ++c) {
        siz.set_component(c, ojph::point(1, 1), p.precision, p.is_signed);
    }
    ojph::param_cod cod = stream.access_cod();
    cod.set_num_decomposition(parameters.levels);
    cod.set_block_dims(parameters.block_width, parameters.block_height);
    if (!parameters.precincts.empty()) {
        std::vector<ojph::size> sizes = parameters.precincts;
        cod.set_precinct_size(static_cast<int>(sizes.size()), sizes.data());
    }
    cod.set_progression_order(parameters.progression);
    cod.set_color_transform(parameters.colour_transform);
    cod.set_reversible(parameters.step == 0);
    if (parameters.step != 0) {
        stream.access_qcd().set_irrev_quant(parameters.step);
    }
    stream.set_planar(!parameters.colour_transform && p.components > 1);
    ojph::mem_outfile file;
    file.open();
    stream.write_headers(&file);
    ojph::ui32 component = 0;
    ojph::line_buf* line = stream.exchange(nullptr, component);
    std::vector<std::uint32_t> rows(p.components, 0);
    for (std::uint32_t i = 0; i < p.rows * p.components; ++i) {
        const std::size_t plane = std::size_t{component} * p.rows * p.columns;
        std::copy_n(p.samples.data() + plane + std::size_t{rows[component]} * p.columns, p.columns, line->i32);
        ++rows[component];
        line = stream.exchange(line, component);
    }
    stream.flush();
    const auto* bytes = reinterpret_cast<const std::byte*>(file.get_data());
    std::vector<std::byte> out(bytes, bytes + file.tell());
    stream.close();
    return out;
}

}  // namespace hilum::test
