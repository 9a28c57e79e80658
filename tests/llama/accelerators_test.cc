// Models loaded without ggml's accelerators, beside others that have them.
#include "src/llama/accelerators.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ggml-backend-impl.h"
#include "gumbelspec/error.h"
#include "gumbelspec/kernels.h"
#include "gumbelspec/llama_model.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

std::vector<std::string> listed_devices() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    names.emplace_back(ggml_backend_dev_name(ggml_backend_dev_get(i)));
  }
  return names;
}

using Kind = enum ggml_backend_dev_type;  // ggml has a function of that name, too

// A registry of devices that have a name and a kind and nothing else.
class FakeRegistry {
 public:
  FakeRegistry(const char* name, std::vector<Kind> kinds) : name_(name), kinds_(std::move(kinds)) {
    registry_.api_version = GGML_BACKEND_API_VERSION;
    registry_.context = this;
    registry_.iface.get_name = [](ggml_backend_reg_t r) { return of(r).name_; };
    registry_.iface.get_device_count = [](ggml_backend_reg_t r) { return of(r).kinds_.size(); };
    registry_.iface.get_device = [](ggml_backend_reg_t r, std::size_t i) {
      return &of(r).devices_[i];
    };
    devices_.resize(kinds_.size());
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
      devices_[i].reg = &registry_;
      devices_[i].context = &kinds_[i];
      devices_[i].iface.get_name = [](ggml_backend_dev_t d) { return of(d->reg).name_; };
      devices_[i].iface.get_type = [](ggml_backend_dev_t d) {
        return *static_cast<Kind*>(d->context);
      };
    }
    ggml_backend_register(&registry_);
  }
  ~FakeRegistry() { ggml_backend_unload(&registry_); }
  FakeRegistry(const FakeRegistry&) = delete;
  FakeRegistry& operator=(const FakeRegistry&) = delete;

 private:
  static FakeRegistry& of(ggml_backend_reg_t r) { return *static_cast<FakeRegistry*>(r->context); }
  const char* name_;
  std::vector<Kind> kinds_;
  ggml_backend_reg registry_{};
  std::vector<ggml_backend_device> devices_;
};

TEST(DeviceList, IsWithoutAcceleratorsForAWhileAndThenAsItWas) {
  const std::vector<std::string> before = listed_devices();
  const FakeRegistry first("first", {GGML_BACKEND_DEVICE_TYPE_ACCEL});
  const FakeRegistry second("second",
                            {GGML_BACKEND_DEVICE_TYPE_ACCEL, GGML_BACKEND_DEVICE_TYPE_ACCEL});
  const std::vector<std::string> with = listed_devices();
  ASSERT_EQ(with.size(), before.size() + 3);
  {
    const internal::DeviceList list(/*with_accelerators=*/false);
    EXPECT_EQ(listed_devices(), before);
  }
  EXPECT_EQ(listed_devices(), with);
  {
    const internal::DeviceList list(/*with_accelerators=*/true);
    EXPECT_EQ(listed_devices(), with);
  }
  EXPECT_EQ(listed_devices(), with);
}

TEST(DeviceList, RefusesARegistryOfAcceleratorsAndOthers) {
  const FakeRegistry mixed("mixed", {GGML_BACKEND_DEVICE_TYPE_ACCEL, GGML_BACKEND_DEVICE_TYPE_GPU});
  const std::vector<std::string> with = listed_devices();
  EXPECT_THROW(internal::DeviceList(/*with_accelerators=*/false), Error);
  EXPECT_EQ(listed_devices(), with);
}

std::unique_ptr<LlamaModel> load_demo(bool accelerators) {
  LlamaModelOptions options;
  options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf";
  options.n_threads = 1;
  options.n_context = 256;
  options.accelerators = accelerators;
  return LlamaModel::load(options);
}

std::vector<Logits> rows_of(LlamaModel& model) {
  std::mt19937 random(3);
  const std::vector<TokenId> text = random_text(random, 60, model.limits().n_vocab);
  const SeqId seq = model.open();
  std::vector<Logits> rows = decode_plainly(model, seq, text, 40);
  model.close(seq);
  return rows;
}

bool are_same_bits(const std::vector<Logits>& left, const std::vector<Logits>& right) {
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (!same_bits(left[i], right[i])) return false;
  }
  return true;
}

// The device of this project's kernels, in this process or as a plug-in.
class Accelerated : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kernels::register_device() != kernels::Registration::registered) {
      GTEST_SKIP() << "no kernels for this processor";
    }
    kernels::unregister_device();
    // Before anything is registered: what a process without the device computes.
    plain_ = rows_of(*load_demo(true));
  }
  void expect_both_ways() {
    const std::unique_ptr<LlamaModel> before = load_demo(true);
    const std::vector<Logits> accelerated = rows_of(*before);
    EXPECT_FALSE(are_same_bits(accelerated, plain_)) << "the device was not used";
    const std::unique_ptr<LlamaModel> without = load_demo(false);
    EXPECT_TRUE(are_same_bits(rows_of(*without), plain_));
    EXPECT_TRUE(are_same_bits(rows_of(*before), accelerated)) << "another model lost its device";
    EXPECT_TRUE(are_same_bits(rows_of(*load_demo(true)), accelerated)) << "the device is not back";
    EXPECT_TRUE(are_same_bits(rows_of(*without), plain_));
  }
  std::vector<Logits> plain_;
};

TEST_F(Accelerated, IsLeftOutByOneModelAndUsedByTheOthers) {
  ASSERT_EQ(kernels::register_device(), kernels::Registration::registered);
  expect_both_ways();
  kernels::unregister_device();
}

TEST_F(Accelerated, IsLeftOutAsAPlugInWhoseCodeStays) {
  const ggml_backend_reg_t plugin = ggml_backend_load(GUMBELSPEC_PLUGIN);
  ASSERT_NE(plugin, nullptr);
  expect_both_ways();
  ggml_backend_unload(plugin);
}

TEST_F(Accelerated, IsBackAfterALoadThatFails) {
  ASSERT_EQ(kernels::register_device(), kernels::Registration::registered);
  const std::vector<std::string> with = listed_devices();
  LlamaModelOptions options;
  options.accelerators = false;
  options.path = "/nowhere.gguf";
  EXPECT_THROW((void)LlamaModel::load(options), Error);
  EXPECT_EQ(listed_devices(), with);
  options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf";
  options.n_context = 1'000'000;
  EXPECT_THROW((void)LlamaModel::load(options), Error);
  options.n_context = 0;
  options.on_progress = [](float) -> bool { throw std::runtime_error("stop"); };
  EXPECT_THROW((void)LlamaModel::load(options), std::runtime_error);
  EXPECT_EQ(listed_devices(), with);
  kernels::unregister_device();
}

}  // namespace
}  // namespace gumbelspec::testing
