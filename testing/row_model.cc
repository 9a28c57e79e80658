#include "testing/row_model.h"

#include "gumbelspec/noise.h"

namespace gumbelspec::testing {

void fill_row(std::uint64_t seed, std::uint32_t i, float scale, std::span<float> out) {
  fill_noise({seed, 0}, Position{i}, out);
  for (float& x : out) x *= scale;
}

RowModel::RowModel(const Options& options) {
  limits_ = {.n_vocab = options.n_vocab,
             .n_context = std::size_t{1} << 20U,
             .max_pass_nodes = 256,
             .max_leaves = 255};
  used_.reserve(limits_.max_pass_nodes);
  std::vector<float> own(options.n_vocab);
  for (std::size_t i = 0; i < options.n_rows; ++i) {
    const auto number = static_cast<std::uint32_t>(i);
    fill_row(options.seed, number, options.scale, rows_.emplace_back(options.n_vocab));
    if (options.own_share == 0.0F) continue;
    fill_row(options.own_seed, number, options.own_share, own);
    for (std::size_t v = 0; v < own.size(); ++v) rows_[i][v] += own[v];
  }
}

PassOutcome RowModel::extend(SeqId /*seq*/, std::span<const TokenId> tokens) {
  n_committed_ += tokens.size();
  return PassOutcome::ok;
}

PassOutcome RowModel::evaluate(std::span<const PassNode> nodes) {
  used_.clear();
  for (const PassNode& node : nodes) used_.push_back(row_after(node.token));
  return PassOutcome::ok;
}

void RowModel::commit(SeqId /*seq*/, std::span<const PendingId> path) {
  n_committed_ += path.size();
}

}  // namespace gumbelspec::testing
