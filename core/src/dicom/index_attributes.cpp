// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <iterator>

#include "hilum/dicom/attributes.hpp"

namespace hilum::dicom {
namespace {

constexpr Wanted kCode[] = {
    {Tag{0x00080100}, Vr::SH},  // Code Value
    {Tag{0x00080102}, Vr::SH},  // Coding Scheme Designator
    {Tag{0x00080104}, Vr::LO},  // Code Meaning
};

constexpr Wanted kIssuer[] = {
    {Tag{0x00400031}, Vr::UT},  // Local Namespace Entity ID
    {Tag{0x00400032}, Vr::UT},  // Universal Entity ID
    {Tag{0x00400033}, Vr::CS},  // Universal Entity ID Type
};

constexpr Wanted kRequest[] = {
    {Tag{0x00080050}, Vr::SH},  // Accession Number
    {Tag{0x0020000D}, Vr::UI},  // Study Instance UID
    {Tag{0x00400009}, Vr::SH},  // Scheduled Procedure Step ID
    {Tag{0x00401001}, Vr::SH},  // Requested Procedure ID
};

constexpr Wanted kPatient[] = {
    {Tag{0x00100010}, Vr::PN},  // Patient's Name
    {Tag{0x00100020}, Vr::LO},  // Patient ID
    {Tag{0x00100021}, Vr::LO},  // Issuer of Patient ID
    {Tag{0x00100030}, Vr::DA},  // Patient's Birth Date
    {Tag{0x00100032}, Vr::TM},  // Patient's Birth Time
    {Tag{0x00100040}, Vr::CS},  // Patient's Sex
    {Tag{0x00101000}, Vr::LO},  // Other Patient IDs
    {Tag{0x00102160}, Vr::SH},  // Ethnic Group
};

constexpr Wanted kStudy[] = {
    {Tag{0x00080020}, Vr::DA},           // Study Date
    {Tag{0x00080030}, Vr::TM},           // Study Time
    {Tag{0x00080050}, Vr::SH},           // Accession Number
    {Tag{0x00080051}, Vr::SQ, kIssuer},  // Issuer of Accession Number Sequence
    {Tag{0x00080080}, Vr::LO},           // Institution Name
    {Tag{0x00080090}, Vr::PN},           // Referring Physician's Name
    {Tag{0x00080201}, Vr::SH},           // Timezone Offset From UTC
    {Tag{0x00081030}, Vr::LO},           // Study Description
    {Tag{0x00081032}, Vr::SQ, kCode},    // Procedure Code Sequence
    {Tag{0x00081060}, Vr::PN},           // Name of Physician(s) Reading Study
    {Tag{0x00081080}, Vr::LO},           // Admitting Diagnoses Description
    {Tag{0x00101010}, Vr::AS},           // Patient's Age
    {Tag{0x00101020}, Vr::DS},           // Patient's Size
    {Tag{0x00101030}, Vr::DS},           // Patient's Weight
    {Tag{0x0020000D}, Vr::UI},           // Study Instance UID
    {Tag{0x00200010}, Vr::SH},           // Study ID
};

constexpr Wanted kSeries[] = {
    {Tag{0x00080021}, Vr::DA},            // Series Date
    {Tag{0x00080031}, Vr::TM},            // Series Time
    {Tag{0x00080060}, Vr::CS},            // Modality
    {Tag{0x00080070}, Vr::LO},            // Manufacturer
    {Tag{0x00081010}, Vr::SH},            // Station Name
    {Tag{0x0008103E}, Vr::LO},            // Series Description
    {Tag{0x00081050}, Vr::PN},            // Performing Physician's Name
    {Tag{0x00081070}, Vr::PN},            // Operators' Name
    {Tag{0x00081090}, Vr::LO},            // Manufacturer's Model Name
    {Tag{0x00180015}, Vr::CS},            // Body Part Examined
    {Tag{0x00181030}, Vr::LO},            // Protocol Name
    {Tag{0x0020000E}, Vr::UI},            // Series Instance UID
    {Tag{0x00200011}, Vr::IS},            // Series Number
    {Tag{0x00200052}, Vr::UI},            // Frame of Reference UID
    {Tag{0x00200060}, Vr::CS},            // Laterality
    {Tag{0x00400244}, Vr::DA},            // Performed Procedure Step Start Date
    {Tag{0x00400245}, Vr::TM},            // Performed Procedure Step Start Time
    {Tag{0x00400275}, Vr::SQ, kRequest},  // Request Attributes Sequence
};

constexpr Wanted kInstance[] = {
    {Tag{0x00080008}, Vr::CS},         // Image Type
    {Tag{0x00080016}, Vr::UI},         // SOP Class UID
    {Tag{0x00080018}, Vr::UI},         // SOP Instance UID
    {Tag{0x00080023}, Vr::DA},         // Content Date
    {Tag{0x00080033}, Vr::TM},         // Content Time
    {Tag{0x00200012}, Vr::IS},         // Acquisition Number
    {Tag{0x00200013}, Vr::IS},         // Instance Number
    {Tag{0x00280008}, Vr::IS},         // Number of Frames
    {Tag{0x00280010}, Vr::US},         // Rows
    {Tag{0x00280011}, Vr::US},         // Columns
    {Tag{0x00280100}, Vr::US},         // Bits Allocated
    {Tag{0x0040A043}, Vr::SQ, kCode},  // Concept Name Code Sequence
    {Tag{0x00420010}, Vr::ST},         // Document Title
    {Tag{0x00700080}, Vr::CS},         // Content Label
};

constexpr bool sorted(std::span<const Wanted> table) noexcept {
    return std::is_sorted(table.begin(), table.end(), [](const Wanted& a, const Wanted& b) { return a.tag < b.tag; });
}
static_assert(sorted(kCode) && sorted(kIssuer) && sorted(kRequest));
static_assert(sorted(kPatient) && sorted(kStudy) && sorted(kSeries) && sorted(kInstance));

constexpr std::array<std::span<const Wanted>, kLevels> kTables{kPatient, kStudy, kSeries, kInstance};

}  // namespace

std::span<const Wanted> index_attributes(Level level) noexcept {
    return kTables[static_cast<std::size_t>(level)];
}

}  // namespace hilum::dicom
