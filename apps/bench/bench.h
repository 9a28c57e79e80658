// gumbelspec bench: all methods side by side, on the same models, prompts and seeds.
#ifndef GUMBELSPEC_APPS_BENCH_BENCH_H_
#define GUMBELSPEC_APPS_BENCH_BENCH_H_

#include "apps/common/arguments.h"

namespace gumbelspec::apps::bench {

[[nodiscard]] Command add_bench(Arguments& program);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_BENCH_H_
