// The weight types that the device takes: those whose files are included here.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_H_

#include <utility>

#include "kernels/src/formats/floats.h"
#include "kernels/src/formats/iq1_m.h"
#include "kernels/src/formats/iq1_s.h"
#include "kernels/src/formats/iq2_xs.h"
#include "kernels/src/formats/iq2_xxs.h"
#include "kernels/src/formats/iq3_s.h"
#include "kernels/src/formats/iq3_xxs.h"
#include "kernels/src/formats/iq4_nl.h"
#include "kernels/src/formats/iq4_xs.h"
#include "kernels/src/formats/mxfp4.h"
#include "kernels/src/formats/q1_0.h"
#include "kernels/src/formats/q2_k.h"
#include "kernels/src/formats/q3_k.h"
#include "kernels/src/formats/q4_0.h"
#include "kernels/src/formats/q4_1.h"
#include "kernels/src/formats/q4_k.h"
#include "kernels/src/formats/q5_0.h"
#include "kernels/src/formats/q5_1.h"
#include "kernels/src/formats/q5_k.h"
#include "kernels/src/formats/q6_k.h"
#include "kernels/src/formats/q8_0.h"
#include "kernels/src/formats/tq2_0.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set: a table that the linker merged would mix them up

// A table by ggml_type: Of<FormatTraits<type>>::kEntry for the types above, Entry{} for the others.
template <class Entry, template <class Format> class Of,
          class Types = std::make_integer_sequence<int, GGML_TYPE_COUNT>>
struct ByFormat;

template <class Entry, template <class Format> class Of, int... kTypes>
struct ByFormat<Entry, Of, std::integer_sequence<int, kTypes...>> {
  template <class Format>
  static constexpr Entry entry_of() {
    if constexpr (requires { Format::kName; }) {
      return Of<Format>::kEntry;
    } else {
      return {};
    }
  }
  static constexpr Entry kEntries[] = {entry_of<FormatTraits<static_cast<ggml_type>(kTypes)>>()...};
};

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_H_
