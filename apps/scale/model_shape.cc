#include "apps/scale/model_shape.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <system_error>

namespace gumbelspec::scale {
namespace {

constexpr int kMaxEmbd = 16384;
constexpr int kMaxLayers = 256;
constexpr double kTolerance = 0.1;

int rounded(double value, int step) {
  return std::max(1, static_cast<int>(std::lround(value / step))) * step;
}

// Query heads per key/value head: 8 in models of 1 B and more, 4 in smaller ones, or what divides
// and leaves each original head its place.
std::optional<int> heads_kv_for(int heads, int embd, const ModelShape& least) {
  const int least_group = least.heads / least.heads_kv;
  for (int group = embd >= 2048 ? 8 : 4; group >= least_group; --group) {
    if (heads % group == 0 && heads / group >= least.heads_kv) return heads / group;
  }
  return std::nullopt;
}

double parameters_of_layer(const ModelShape& s, const FixedShape& fixed) {
  const double embd = s.embd;
  return 2.0 * embd * fixed.head_dim * (s.heads + s.heads_kv) + 3.0 * embd * s.ff + 2.0 * embd;
}

// Widths that models have; others leave odd numbers of heads.
bool is_usual_width(int embd) { return embd % (embd >= 1024 ? 256 : embd >= 512 ? 128 : 64) == 0; }

// Layers of a model of this width: 12 at 640, 22 at 2048, 36 at 4096.
double usual_layers(int embd) { return 7.0 + embd / 145.0; }

}  // namespace

double parse_params(const std::string& text) {
  double value = 0.0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string unit(rest, end);
  const double factor = unit.empty()                 ? 1.0
                        : unit == "K"                ? 1e3
                        : unit == "M"                ? 1e6
                        : unit == "B" || unit == "G" ? 1e9
                                                     : 0.0;
  if (error != std::errc() || factor == 0.0 || !(value * factor >= 1e5 && value * factor <= 1e12)) {
    throw std::runtime_error("--params is \"" + text +
                             "\"; give a number from 100K to 1000B with K, M or B, e.g. 60M or 1B");
  }
  return value * factor;
}

std::string params_text(double n) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %s", n / (n >= 1e9 ? 1e9 : 1e6), n >= 1e9 ? "B" : "M");
  return text;
}

double n_params(const ModelShape& s, const FixedShape& fixed) {
  const double tables = static_cast<double>(fixed.n_vocab) * (fixed.has_output ? 2.0 : 1.0);
  return tables * s.embd + s.embd + s.layers * parameters_of_layer(s, fixed);
}

std::optional<ModelShape> shape_of_width(int embd, double params, const ModelShape& least,
                                         const FixedShape& fixed, const ModelShape& wanted) {
  ModelShape shape = wanted;
  shape.embd = embd;
  if (shape.heads == 0) shape.heads = std::max(embd / fixed.head_dim, least.heads);
  if (shape.heads_kv == 0) {
    const auto heads_kv = heads_kv_for(shape.heads, embd, least);
    if (!heads_kv) return std::nullopt;
    shape.heads_kv = *heads_kv;
  }
  const int ff_step = std::lcm(64, fixed.block);
  if (shape.ff == 0) shape.ff = std::max(rounded(2.75 * embd, ff_step), rounded(least.ff, ff_step));
  while (wanted.ff == 0 && shape.ff < least.ff) shape.ff += ff_step;
  if (shape.layers == 0) {
    shape.layers = 0;
    const double rest = params - n_params(shape, fixed);
    shape.layers =
        std::clamp(static_cast<int>(std::lround(rest / parameters_of_layer(shape, fixed))),
                   least.layers, kMaxLayers);
  }
  return shape;
}

ModelShape shape_for(double params, const ModelShape& least, const FixedShape& fixed,
                     const ModelShape& wanted) {
  const int step = std::lcm(fixed.head_dim, fixed.block);
  std::optional<ModelShape> best;
  double best_cost = 0.0;
  double closest = 0.0;
  const int first = wanted.embd > 0 ? wanted.embd : (least.embd + step - 1) / step * step;
  const int last = wanted.embd > 0 ? wanted.embd : kMaxEmbd;
  for (int embd = first; embd <= last; embd += step) {
    if (wanted.embd == 0 && !is_usual_width(embd)) continue;
    const auto shape = shape_of_width(embd, params, least, fixed, wanted);
    if (!shape) continue;
    const double off = std::abs(n_params(*shape, fixed) / params - 1.0);
    const double cost = std::abs(std::log(shape->layers / usual_layers(embd))) + 10.0 * off;
    if (closest == 0.0 || off < std::abs(closest / params - 1.0)) {
      closest = n_params(*shape, fixed);
    }
    if (off > kTolerance || (best && cost >= best_cost)) continue;
    best = shape;
    best_cost = cost;
  }
  if (best) return *best;
  throw std::runtime_error("no shape has " + params_text(params) + " parameters; the closest has " +
                           params_text(closest) +
                           "; give another --params, or --layers, --embd and --ff");
}

}  // namespace gumbelspec::scale
