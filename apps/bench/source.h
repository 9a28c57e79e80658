// Where a benchmark's texts come from: the models, or a trace of them.
#ifndef GUMBELSPEC_APPS_BENCH_SOURCE_H_
#define GUMBELSPEC_APPS_BENCH_SOURCE_H_

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/bench/measure.h"
#include "apps/bench/options.h"
#include "apps/common/output.h"
#include "apps/common/report.h"
#include "gumbelspec/calibration_store.h"
#include "gumbelspec/costs.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/method.h"

namespace gumbelspec::apps::bench {

class BenchSource {
 public:
  virtual ~BenchSource() = default;

  [[nodiscard]] virtual LanguageModel& target() = 0;
  [[nodiscard]] virtual LanguageModel* draft() = 0;  // null: there is none

  // What passes cost, before planned trees are generated; only the first call does anything.
  // Throws: Error; Stopped.
  virtual void know_costs(std::span<const Method> methods) = 0;
  // Null: not known.
  [[nodiscard]] virtual std::shared_ptr<CostModel> costs() const = 0;

  // Throws: Error; Stopped.
  [[nodiscard]] virtual BenchText generate(const TextRequest& request) = 0;
  // Whether passes take real time, so that there is something to warm up.
  [[nodiscard]] virtual bool has_clock() const = 0;

  [[nodiscard]] virtual int n_threads() const = 0;
  [[nodiscard]] virtual Json machine() const = 0;
  [[nodiscard]] virtual Json versions() const = 0;
  [[nodiscard]] virtual Json models() const = 0;
  // Which trace, and by which curves the time is modelled; null: measured.
  [[nodiscard]] virtual Json replay() const { return {}; }

 protected:
  // What a method's planner learnt in its texts so far: it knows the draft as it would in a server,
  // or the next time that the program is used.
  [[nodiscard]] std::shared_ptr<CalibrationStore> calibrations_of(const Method& method) {
    auto& store = calibrations_[to_string(method)];
    if (!store) store = std::make_shared<CalibrationStore>();
    return store;
  }

 private:
  std::map<std::string, std::shared_ptr<CalibrationStore>> calibrations_;
};

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_SOURCE_H_
