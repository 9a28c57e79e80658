// Texts of the models themselves.
#ifndef GUMBELSPEC_APPS_BENCH_LIVE_H_
#define GUMBELSPEC_APPS_BENCH_LIVE_H_

#include <memory>
#include <string>
#include <vector>

#include "apps/bench/source.h"
#include "apps/common/model_options.h"

namespace gumbelspec::apps::bench {

class LiveSource final : public BenchSource {
 public:
  // Loads the models. Requires: model_options come from with_demo_pair(). Throws: Error; Stopped.
  LiveSource(const BenchOptions& options, const ModelOptions& model_options,
             const std::vector<std::string>& prompts, Progress& line);

  [[nodiscard]] const std::vector<std::vector<TokenId>>& prompts() const { return prompts_; }
  [[nodiscard]] const Models& loaded() const { return models_; }

  [[nodiscard]] LanguageModel& target() override { return *models_.target; }
  [[nodiscard]] LanguageModel* draft() override { return models_.drafting(); }
  void know_costs(std::span<const Method> methods) override;
  [[nodiscard]] std::shared_ptr<CostModel> costs() const override { return costs_; }
  [[nodiscard]] BenchText generate(const TextRequest& request) override;
  [[nodiscard]] bool has_clock() const override { return true; }
  [[nodiscard]] int n_threads() const override { return models_.target->n_threads(); }
  [[nodiscard]] Json machine() const override { return machine_; }
  [[nodiscard]] Json versions() const override;
  [[nodiscard]] Json models() const override;

  // Times passes over up to so many nodes, whether anything is planned or not.
  void measure_costs_up_to(std::size_t most_nodes);

 private:
  const BenchOptions& options_;
  ModelOptions model_options_;
  Progress& line_;
  Models models_;
  SamplingOptions sampling_;
  std::vector<std::vector<TokenId>> prompts_;
  std::shared_ptr<CostModel> costs_;
  Json machine_;
};

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_LIVE_H_
