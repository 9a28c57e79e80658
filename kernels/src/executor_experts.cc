// Products with experts: the columns of a pass sorted by expert, each expert's weights read once.
#include <algorithm>

#include "kernels/src/elements.h"
#include "kernels/src/executor.h"

namespace gumbelspec::kernels {
namespace {

constexpr int64_t kCachedPanels = 4;  // that several tiles read one after the other

// Columns of one expert among those of the pass.
Tiles tiles_of_expert(const Tiles& all, int n) { return make_tiles(all.format, all.k, n); }

}  // namespace

Route Executor::route_of(const Step& step) const {
  return {reinterpret_cast<int32_t*>(routes_.data()) + step.route,
          static_cast<int>(step.node->src[0]->ne[2]),
          static_cast<int>(ggml_nelements(step.node->src[2]))};
}

// A piece of one column, into its place in the tile of its expert.
void Executor::run_gather(const Step& step, int task) {
  const ggml_tensor *x = step.node->src[1], *ids = step.node->src[2];
  const Route route = route_of(step);
  const int sorted = task / step.parts, part = task % step.parts;
  const int pair = route.pairs()[sorted], active = route.active_of(sorted);
  const Tiles tiles = tiles_of_expert(step.tiles, route.count(active));
  const int column = sorted - route.first(active), t = tiles.tile_of(column);
  const int64_t blocks = (tiles.k + kBlock - 1) / kBlock;
  QuantizeJob job{};
  job.x = reinterpret_cast<const float*>(
      element(x, pair % ids->ne[0] % x->ne[1], pair / ids->ne[0], 0));
  job.k = tiles.k;
  job.tile = activations_.data() + step.tiles.offset +
             static_cast<size_t>(route.first(active) + tiles.first(t)) * tiles.column_bytes();
  job.n = tiles.width(t);
  job.column = column - tiles.first(t);
  job.begin = blocks * part / step.parts;
  job.end = blocks * (part + 1) / step.parts;
  kernels_.quantize(tiles.format, job);
}

// The task's share of the panels of all experts of the pass.
void Executor::run_expert_product(const Step& step, int task) {
  const ggml_tensor* w = step.node->src[0];
  const Route route = route_of(step);
  const int64_t panels = panel_count(w->ne[1]), all = panels * route.n_active();
  GemmJob job{};
  job.type = w->type;
  job.layout = panel_layout(job.type, w->ne[0]);
  job.k = w->ne[0];
  job.n_rows = w->ne[1];
  job.out = static_cast<float*>(step.node->data);
  job.out_stride = step.node->ne[0];  // contiguous
  const size_t matrix = packed_bytes(job.type, w->ne[0], w->ne[1]);
  const int64_t last = all * (task + 1) / step.n_tasks;
  for (int64_t at = all * task / step.n_tasks; at < last;) {
    const auto active = static_cast<int>(at / panels);
    const Tiles tiles = tiles_of_expert(step.tiles, route.count(active));
    const int64_t begin = at % panels;
    const int64_t most = tiles.n_tiles > 1 ? kCachedPanels : panels;
    const int64_t end = std::min({panels, begin + most, begin + last - at});
    job.weights = bytes_of(w) + static_cast<size_t>(route.expert(active)) * matrix;
    const int first = route.first(active);
    job.tile =
        activations_.data() + step.tiles.offset + static_cast<size_t>(first) * tiles.column_bytes();
    job.n = tiles.n;
    job.n_tiles = tiles.n_tiles;
    job.column_bytes = tiles.column_bytes();
    job.places = route.pairs() + first;
    kernels_.gemm(job, begin, end);
    at += end - begin;
  }
}

}  // namespace gumbelspec::kernels
