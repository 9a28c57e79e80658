// Types of the cache, positions, metadata, places and adapters: against llama.cpp's own code with
// the same settings, and each pass against single tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gguf.h"
#include "gumbelspec/error.h"
#include "llama.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kPrompt = 8;

// Heads of 64, which every type's blocks divide and llama.cpp would turn.
TinyModel tiny() {
  TinyModel model;
  model.n_embd = 128;
  model.n_head = 2;
  model.n_head_kv = 1;
  model.n_context = 256;
  model.weights = GGML_TYPE_Q8_0;
  model.narrow_weights = GGML_TYPE_Q8_0;
  model.embeddings = GGML_TYPE_Q8_0;
  return model;
}

class LoadDetails : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_model(tiny(), path_);
    std::mt19937 random(5);
    text_ = random_text(random, 40, 320);
  }

  [[nodiscard]] LlamaModelOptions options() const {
    LlamaModelOptions options;
    options.path = path_;
    options.n_threads = 1;
    return options;
  }

  // The logits of the text's tokens behind the prompt, one by one.
  std::vector<Logits> ours(const LlamaModelOptions& options) {
    const auto model = LlamaModel::load(options);
    const SeqId seq = model->open();
    return decode_plainly(*model, seq, text_, kPrompt);
  }

  // Those of llama.cpp in the passes of ours(), with the cache that Attention::exact has where
  // nothing else is said: the same numbers, bit for bit.
  std::vector<Logits> llama_cpps(
      const std::function<void(llama_context_params&)>& change = {},
      const std::function<void(llama_model*, llama_context*)>& adapt = {}) {
    const llama_model_params model_params = llama_model_default_params();
    const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(
        llama_model_load_from_file(path_.c_str(), model_params), &llama_model_free);
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 512;
    params.n_threads = params.n_threads_batch = 1;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.type_k = GGML_TYPE_F16;
    params.type_v = GGML_TYPE_BF16;
    if (change) change(params);
    const std::unique_ptr<llama_context, decltype(&llama_free)> context(
        llama_init_from_model(model.get(), params), &llama_free);
    if (adapt) adapt(model.get(), context.get());
    std::vector<Logits> rows;
    std::vector<llama_token> tokens;
    for (const TokenId token : text_) tokens.push_back(static_cast<llama_token>(token));
    EXPECT_EQ(llama_decode(context.get(), llama_batch_get_one(tokens.data(), kPrompt)), 0);
    for (std::size_t i = kPrompt; i < tokens.size(); ++i) {
      EXPECT_EQ(llama_decode(context.get(), llama_batch_get_one(&tokens[i], 1)), 0);
      const float* row = llama_get_logits_ith(context.get(), -1);
      rows.emplace_back(row, row + 320);
    }
    return rows;
  }

  Comparison trees(const LlamaModelOptions& options) {
    const std::vector<Logits> oracle = ours(options);
    const auto model = LlamaModel::load(options);
    const SeqId seq = model->open();
    return compare_trees(*model, seq, text_, kPrompt, oracle, 12, 256, 3);
  }

  // No row of a tree differs in any bit from that of single tokens.
  void expect_same_in_trees(const LlamaModelOptions& options) {
    const auto guarantee = LlamaModel::load(options)->guarantee();
    EXPECT_TRUE(guarantee.holds) << guarantee.reason();
    const Comparison seen = trees(options);
    EXPECT_GT(seen.n_rows, 20U);
    EXPECT_EQ(seen.n_different, 0U);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("tiny.gguf");
  std::vector<TokenId> text_;
};

TEST_F(LoadDetails, CoarseCachesAreLlamaCppsAndTheSameInEveryPass) {
  for (const auto& [k, v] : std::vector<std::pair<std::string, std::string>>{
           {"q8_0", "q8_0"}, {"q4_0", "q4_0"}, {"q8_0", ""}, {"", "q5_1"}, {"bf16", "bf16"}}) {
    SCOPED_TRACE(k + " " + v);
    LlamaModelOptions options = this->options();
    options.cache_type_k = k;
    options.cache_type_v = v;
    expect_same_in_trees(options);
  }
  LlamaModelOptions coarse = options();
  coarse.cache_type_k = coarse.cache_type_v = "q4_0";
  // Heads as they are.
  ::setenv("LLAMA_ATTN_ROT_DISABLE", "1", 1);
  const auto llamas = llama_cpps(
      [](llama_context_params& params) { params.type_k = params.type_v = GGML_TYPE_Q4_0; });
  ::unsetenv("LLAMA_ATTN_ROT_DISABLE");
  EXPECT_EQ(ours(coarse), llamas);
  EXPECT_EQ(ours(options()), llama_cpps());
  EXPECT_NE(ours(options()), llamas);
}

TEST_F(LoadDetails, CacheTypesThatCannotBeAreRefused) {
  const auto refused = [&](const std::string& k, const std::string& v, const std::string& told) {
    LlamaModelOptions options = this->options();
    options.cache_type_k = k;
    options.cache_type_v = v;
    try {
      (void)LlamaModel::load(options);
      ADD_FAILURE() << k << " " << v;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(told), Not(HasSubstr("\n"))));
    }
  };
  refused("q3_k", "", "cache_type_k is \"q3_k\"; give one of f32, f16, bf16, q8_0");
  refused("", "Q8_0", "cache_type_v is \"Q8_0\"");
  refused("f16", "f16", "give bf16 for one of them, or the fast attention");
  LlamaModelOptions fast = options();
  fast.cache_type_k = fast.cache_type_v = "f16";
  fast.attention = Attention::fast;
  EXPECT_NE(LlamaModel::load(fast), nullptr);
}

TEST_F(LoadDetails, PositionsAreStretchedAsLlamaCppDoes) {
  LlamaModelOptions yarn = options();
  yarn.rope.scaling = "yarn";
  yarn.rope.freq_scale = 0.25F;
  yarn.n_context = 1024;
  EXPECT_EQ(LlamaModel::load(yarn)->limits().max_context, 1024U);
  expect_same_in_trees(yarn);
  const auto llamas = llama_cpps([](llama_context_params& params) {
    params.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_YARN;
    params.rope_freq_scale = 0.25F;
  });
  EXPECT_EQ(ours(yarn), llamas);
  EXPECT_NE(ours(options()), llamas);
  yarn.n_context = 1025;
  EXPECT_THROW((void)LlamaModel::load(yarn), Error);
  LlamaModelOptions base = options();
  base.rope.freq_base = 500000.0F;
  base.n_context = 3000;
  EXPECT_EQ(LlamaModel::load(base)->limits().n_context, 3000U);
  base.rope.scaling = "ntk";
  EXPECT_THROW((void)LlamaModel::load(base), Error);
}

// A LoRA adapter of rank 2 for a matrix of the first block.
void write_lora(const std::string& path) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), &gguf_free);
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors(
      ggml_init({1 << 20, nullptr, false}), &ggml_free);
  gguf_set_val_str(file.get(), "general.type", "adapter");
  gguf_set_val_str(file.get(), "adapter.type", "lora");
  gguf_set_val_str(file.get(), "general.architecture", "llama");
  gguf_set_val_f32(file.get(), "adapter.lora.alpha", 2.0F);
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0.0F, 0.3F);
  const auto add = [&](const char* name, std::int64_t n, std::int64_t m) {
    ggml_tensor* t = ggml_new_tensor_2d(tensors.get(), GGML_TYPE_F32, n, m);
    ggml_set_name(t, name);
    for (std::int64_t i = 0; i < n * m; ++i) static_cast<float*>(t->data)[i] = normal(random);
    gguf_add_tensor(file.get(), t);
  };
  add("blk.0.attn_q.weight.lora_a", 128, 2);
  add("blk.0.attn_q.weight.lora_b", 2, 128);
  ASSERT_TRUE(gguf_write_to_file(file.get(), path.c_str(), false));
}

TEST_F(LoadDetails, LoraAdaptersAreLlamaCpps) {
  const std::string lora = folder_.file("lora.gguf");
  write_lora(lora);
  LlamaModelOptions adapted = options();
  adapted.loras = {{lora, 0.5F}};
  const auto llamas = llama_cpps({}, [&](llama_model* model, llama_context* context) {
    llama_adapter_lora* adapter = llama_adapter_lora_init(model, lora.c_str());
    float scale = 0.5F;
    llama_set_adapters_lora(context, &adapter, 1, &scale);
  });
  EXPECT_EQ(ours(adapted), llamas);
  EXPECT_NE(ours(options()), llamas);
  // A scale that is off by little shows.
  adapted.loras = {{lora, 0.501F}};
  EXPECT_NE(ours(adapted), llamas);
  // Products with its float32 matrices depend on the pass, and that is known.
  EXPECT_FALSE(LlamaModel::load(adapted)->guarantee().holds);
  adapted.loras = {{folder_.file("none.gguf"), 1.0F}};
  EXPECT_THROW((void)LlamaModel::load(adapted), Error);
  adapted.loras = {{path_, 1.0F}};
  EXPECT_THROW((void)LlamaModel::load(adapted), Error);
}

TEST_F(LoadDetails, ControlVectorsAreLlamaCpps) {
  const std::string vector = folder_.file("vector.gguf");
  std::vector<float> direction(128);
  std::mt19937 random(9);
  for (float& x : direction) x = std::normal_distribution<float>(0.0F, 0.5F)(random);
  {
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), &gguf_free);
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors(
        ggml_init({1 << 16, nullptr, false}), &ggml_free);
    ggml_tensor* t = ggml_new_tensor_1d(tensors.get(), GGML_TYPE_F32, 128);
    ggml_set_name(t, "direction.1");
    std::copy(direction.begin(), direction.end(), static_cast<float*>(t->data));
    gguf_add_tensor(file.get(), t);
    ASSERT_TRUE(gguf_write_to_file(file.get(), vector.c_str(), false));
  }
  LlamaModelOptions steered = options();
  steered.control_vectors = {{vector, 2.0F}};
  const auto llamas = llama_cpps({}, [&](llama_model* /*model*/, llama_context* context) {
    std::vector<float> data = direction;
    for (float& x : data) x *= 2.0F;
    llama_set_adapter_cvec(context, data.data(), data.size(), 128, 1, 2);
  });
  EXPECT_EQ(ours(steered), llamas);
  EXPECT_NE(ours(options()), llamas);
  expect_same_in_trees(steered);
  steered.control_first_layer = 2;
  steered.control_last_layer = 1;
  EXPECT_THROW((void)LlamaModel::load(steered), Error);
  steered.control_first_layer = steered.control_last_layer = 0;
  steered.control_vectors = {{path_, 1.0F}};
  EXPECT_THROW((void)LlamaModel::load(steered), Error);
}

TEST_F(LoadDetails, MetadataAndPlacesAreChecked) {
  LlamaModelOptions overridden = options();
  overridden.overrides = {"tokenizer.ggml.add_bos_token=bool:false"};
  EXPECT_EQ(LlamaModel::load(overridden)->tokenize("a").size() + 1,
            LlamaModel::load(options())->tokenize("a").size());
  for (const char* bad : {"", "x", "a=1", "a=int", "a=int:x", "a=int:1.5", "a=float:x", "a=bool:1",
                          "a=word:x", "=int:1"}) {
    overridden.overrides = {bad};
    EXPECT_THROW((void)LlamaModel::load(overridden), Error) << bad;
  }
  overridden.overrides = {std::string(200, 'k') + "=int:1"};
  EXPECT_THROW((void)LlamaModel::load(overridden), Error);
  LlamaModelOptions placed = options();
  placed.weight_places = {"output=CPU"};
  EXPECT_EQ(ours(placed), ours(options()));
  for (const char* bad : {"", "output", "output=Nowhere", "=CPU", "(=CPU"}) {
    placed.weight_places = {bad};
    EXPECT_THROW((void)LlamaModel::load(placed), Error) << bad;
  }
}

TEST_F(LoadDetails, PromptsTakeTheirOwnThreadsAndPieces) {
  LlamaModelOptions options = this->options();
  options.prompt_chunk = 3;
  options.max_pass_nodes = 1;
  options.n_threads_prompt = 2;
  EXPECT_EQ(ours(options), ours(this->options()));
  options.n_threads_prompt = 2000;
  EXPECT_THROW((void)LlamaModel::load(options), Error);
  options.n_threads_prompt = 0;
  options.prompt_chunk = 0;
  EXPECT_THROW((void)LlamaModel::load(options), Error);
  options = this->options();
  options.use_direct_io = true;
  EXPECT_THROW((void)LlamaModel::load(options), Error);
}

TEST_F(LoadDetails, SuppressedTokensAreTold) {
  EXPECT_TRUE(LlamaModel::load(options())->suppressed_tokens().empty());
  const std::string path = folder_.file("suppressing.gguf");
  {
    ggml_context* tensors = nullptr;
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> read(
        gguf_init_from_file(path_.c_str(), {false, &tensors}), &gguf_free);
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> owner(tensors, &ggml_free);
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), &gguf_free);
    gguf_set_kv(file.get(), read.get());
    for (ggml_tensor* t = ggml_get_first_tensor(tensors); t != nullptr;
         t = ggml_get_next_tensor(tensors, t)) {
      // The data of all of them is in the list, too.
      if (gguf_find_tensor(read.get(), ggml_get_name(t)) >= 0) gguf_add_tensor(file.get(), t);
    }
    const std::vector<std::int32_t> tokens = {5, 9};
    gguf_set_arr_data(file.get(), "tokenizer.ggml.suppress_tokens", GGUF_TYPE_INT32, tokens.data(),
                      tokens.size());
    ASSERT_TRUE(gguf_write_to_file(file.get(), path.c_str(), false));
  }
  LlamaModelOptions suppressing = options();
  suppressing.path = path;
  EXPECT_EQ(LlamaModel::load(suppressing)->suppressed_tokens(),
            (std::vector<TokenId>{TokenId{5}, TokenId{9}}));
}

}  // namespace
}  // namespace gumbelspec::testing
