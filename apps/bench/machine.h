// Where a benchmark ran: without it a figure means nothing.
#ifndef GUMBELSPEC_APPS_BENCH_MACHINE_H_
#define GUMBELSPEC_APPS_BENCH_MACHINE_H_

#include <string>
#include <string_view>

#include "apps/common/model_options.h"
#include "apps/common/report.h"

namespace gumbelspec::apps::bench {

// cpu, cores, threads_per_core, memory_gib, os, load_average (of the last minute), kernels, date.
// What the system does not tell is null. Requires: the kernels are registered, if they are wanted.
[[nodiscard]] Json machine_json(bool uses_kernels);

// gumbelspec, llama_cpp, noise_version.
[[nodiscard]] Json versions_json();

// target and draft (null: none), each with file, description, size_bytes, n_vocab, scaled_from
// and padded_from (the marks of gumbelspec-scale, null without); and is_scaled_pair.
[[nodiscard]] Json models_json(const ModelOptions& options, const Models& models);

// The value of "key : value" in /proc/cpuinfo's first block; empty if there is none.
[[nodiscard]] std::string cpuinfo_value(std::string_view cpuinfo, std::string_view key);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_MACHINE_H_
