// How models are loaded, and what their files say: llama.cpp's options, as a user gives them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ggml.h"
#include "gguf.h"
#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Texts = std::vector<std::string>;

ProcessResult generate_with(const Texts& more, const std::string& method = "ar") {
  Texts arguments = {"-p", "The old house", "-n", "24", "-s", "7", "-c", "512", "--method", method};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return generate(arguments);
}

constexpr const char* kBeam = "gumbel-beam:width=2,length=3";

TEST(LoadingOptions, ACoarseCacheHasOneTextForASeedWhichIsAnother) {
  const Texts coarse = {"-ctk", "q8_0", "-ctv", "q4_0"};
  const ProcessResult plain = generate_with(coarse);
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_EQ(plain.err,
            "gumbelspec: the cache is rounded (q8_0 keys, q4_0 values): a seed has one text with "
            "every method, but another than with the default cache\n");
  EXPECT_EQ(generate_with(coarse, kBeam).out, plain.out);
}

TEST(LoadingOptions, TheTextIsTheSameHoweverTheWeightsAreLoaded) {
  const std::string text = generate_with({}).out;
  for (const Texts& more : std::vector<Texts>{{"-lm", "none"},
                                              {"-lm", "dio"},
                                              {"-ub", "64", "-tb", "2", "-td", "1"},
                                              {"-ot", "blk=CPU"},
                                              {"-Cr", "0-0"},
                                              {"-C", "1"}}) {
    const ProcessResult result = generate_with(more, kBeam);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, text) << more[0];
    EXPECT_THAT(result.err, IsEmpty());
  }
}

TEST(LoadingOptions, AContextMayBeStretched) {
  const ProcessResult result =
      generate_with({"-c", "4096", "--rope-scaling", "yarn", "--rope-scale", "8"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(generate_with({"-c", "4096", "--rope-scaling", "yarn", "--rope-scale", "8"}, kBeam).out,
            result.out);
}

TEST(LoadingOptions, WrongValuesAreToldInOneLine) {
  for (const auto& [more, told] : std::vector<std::pair<Texts, std::string>>{
           {{"-ctk", "q2"}, "-ctk is \"q2\"; give one of f32, f16, bf16, q8_0"},
           {{"-ctk", "f16", "-ctv", "f16"}, "-ctv is f16 as -ctk is"},
           {{"-ub", "0"}, "-ub/--ubatch-size is \"0\"; give a whole number from 1 to 65536"},
           {{"-tb", "-1"}, "-tb/--threads-batch is \"-1\""},
           {{"-lm", "fast"}, "--load-mode is \"fast\"; give none, mmap, mlock, mmap+mlock or dio"},
           {{"--numa", "on"}, "--numa is \"on\"; give distribute, isolate or numactl"},
           {{"--rope-scaling", "ntk"}, "--rope-scaling is \"ntk\"; give none, linear or yarn"},
           {{"--rope-scale", "0"}, "--rope-scale is \"0\"; give a number above 0"},
           {{"--yarn-ext-factor", "x"}, "--yarn-ext-factor is \"x\"; give a number from 0 up"},
           {{"--override-kv", "a=1"}, "--override-kv has \"a=1\", which is no KEY=TYPE:VALUE"},
           {{"--override-kv", "a=int:1,"}, "with an empty part; leave it out"},
           {{"-ot", "blk=Moon"}, "--override-tensor has \"blk=Moon\"; give PATTERN=BUFFER"},
           {{"--lora", "/nowhere.gguf"}, "the LoRA adapter \"/nowhere.gguf\" is not there"},
           {{"--lora-scaled", "a.gguf"}, "--lora-scaled is \"a.gguf\"; give FILE:SCALE"},
           {{"--lora-scaled", "a.gguf:x"}, "give FILE:SCALE"},
           {{"--control-vector", "/dev/null"}, "the control vector \"/dev/null\" is not there"},
           {{"--control-vector-layer-range", "0", "x"}, "has \"0\"; give two layers"},
           {{"-C", "xyz"}, "--cpu-mask is \"xyz\""},
           {{"-C", "0"}, "of which this process may use no processor"},
           {{"-Cr", "3-1"}, "--cpu-range is \"3-1\"; give LOW-HIGH"},
           {{"-c", "100000"}, "-c is 100000 tokens"},
           {{"-hf", "x"}, "the model's name is \"x\"; give USER/MODEL or USER/MODEL:QUANT"},
           {{"-hf", "a/b", "-mu", "http://c/d.gguf"}, "give one of -m, -hf and -mu"},
           {{"-hff", "x"}, "--hf-file without --hf-repo"},
           {{"-mu", "x"}, "the address \"x\" names no file"},
           {{"-mu", "http://localhost/x.gguf", "--offline"}, "is not in the cache"},
           {{"-hf", "a/b", "--offline"}, "fetch it once without --offline"},
           {{"-hfd", "a/b", "--offline"}, "fetch it once without --offline"}}) {
    const ProcessResult result = generate_with(more);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(told));
    EXPECT_EQ(n_lines(result.err), 1U) << result.err;
    EXPECT_THAT(result.out, IsEmpty());
  }
}

// The demo target with more metadata.
class ChangedTarget {
 public:
  ChangedTarget()
      : path_(::testing::TempDir() + "changed." + std::to_string(::getpid()) + ".gguf") {
    ggml_context* tensors = nullptr;
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> read(
        gguf_init_from_file(model_path("demo-target-q8_0.gguf").c_str(), {false, &tensors}),
        &gguf_free);
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> owner(tensors, &ggml_free);
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), &gguf_free);
    gguf_set_kv(file.get(), read.get());
    for (ggml_tensor* t = ggml_get_first_tensor(tensors); t != nullptr;
         t = ggml_get_next_tensor(tensors, t)) {
      // The data of all of them is in the list, too.
      if (gguf_find_tensor(read.get(), ggml_get_name(t)) >= 0) gguf_add_tensor(file.get(), t);
    }
    gguf_set_val_f32(file.get(), "general.sampling.temp", 0.5F);
    gguf_set_val_i32(file.get(), "general.sampling.top_k", 5);
    gguf_set_val_i32(file.get(), "general.sampling.mirostat", 2);
    gguf_set_val_str(file.get(), "general.sampling.sequence", "kt");
    if (!gguf_write_to_file(file.get(), path_.c_str(), false)) throw std::runtime_error(path_);
  }
  ~ChangedTarget() { std::remove(path_.c_str()); }
  ChangedTarget(const ChangedTarget&) = delete;
  ChangedTarget& operator=(const ChangedTarget&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(LoadingOptions, TheFilesOwnSamplingIsTakenAndTold) {
  const ChangedTarget target;
  const ProcessResult taken = generate_with({"-m", target.path()});
  EXPECT_EQ(taken.exit_code, 0) << taken.err;
  EXPECT_THAT(taken.err, HasSubstr("gumbelspec: the model's file asks for --temp 0.5"));
  EXPECT_THAT(taken.err, HasSubstr("--top-k 5 --mirostat 2; options given here go before them\n"));
  EXPECT_THAT(taken.err,
              HasSubstr("also has general.sampling.sequence = kt, which is not followed"));
  EXPECT_EQ(taken.out, generate_with({"--temp", "0.5", "--mirostat", "2"}).out);
  EXPECT_EQ(
      generate_with({"-m", target.path(), "--temp", "1", "--top-k", "0", "--mirostat", "0"}).out,
      generate_with({}).out);
}

TEST(LoadingOptions, EscapesStandForWhatTheyMeanWhereAsked) {
  const Texts common = {"-n", "0", "--method", "ar", "-s", "1"};
  Texts arguments = common;
  arguments.insert(arguments.end(), {"-p", "a\\tb", "-e"});
  EXPECT_EQ(generate(arguments).out, "a\tb\n");
  arguments.pop_back();
  EXPECT_EQ(generate(arguments).out, "a\\tb\n");
}

TEST(ModelsCommand, AreListedAndRemoved) {
  const std::string cache = ::testing::TempDir() + "hub." + std::to_string(::getpid());
  ::setenv("HF_HUB_CACHE", cache.c_str(), 1);
  const ProcessResult none = run_program({"models"});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_THAT(none.err, HasSubstr("no models by name in " + cache));
  EXPECT_EQ(run_program({"models", "--json"}).out, "[]\n");
  const ProcessResult wrong = run_program({"models", "--remove", "a/b"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("a/b is not in the cache"));
  ::unsetenv("HF_HUB_CACHE");
}

}  // namespace
}  // namespace gumbelspec::testing
