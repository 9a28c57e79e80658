// What llama.cpp's graphs of MTP layers ask for is looked for before they are built. The oracle is
// llama.cpp itself: scripts/zoo drafts with such layers, models `...:mtp`.
#include "src/llama/mtp_layers.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ggml.h"
#include "gguf.h"

namespace gumbelspec::internal {
namespace {

// The header of a model of 4 layers, of which the last n_nextn are for tokens further ahead.
class File {
 public:
  explicit File(std::string architecture, std::uint32_t n_nextn = 1)
      : architecture_(std::move(architecture)) {
    gguf_set_val_str(gguf_.get(), "general.architecture", architecture_.c_str());
    number("block_count", 4);
    number("nextn_predict_layers", n_nextn);
    for (std::uint32_t layer = 4 - n_nextn; layer < 4; ++layer) {
      for (const char* name : {"nextn.eh_proj", "nextn.enorm", "nextn.hnorm"}) tensor(layer, name);
    }
  }
  void number(const std::string& key, std::uint32_t value) {
    gguf_set_val_u32(gguf_.get(), (architecture_ + "." + key).c_str(), value);
  }
  void sections(const std::array<std::int32_t, 4>& values) {
    gguf_set_arr_data(gguf_.get(), (architecture_ + ".rope.dimension_sections").c_str(),
                      GGUF_TYPE_INT32, values.data(), values.size());
  }
  void tensor(std::uint32_t layer, const std::string& name) {
    ggml_tensor* t = ggml_new_tensor_1d(tensors_.get(), GGML_TYPE_F32, 32);
    ggml_set_name(t, ("blk." + std::to_string(layer) + "." + name + ".weight").c_str());
    gguf_add_tensor(gguf_.get(), t);
  }
  void all(const std::vector<std::string>& names, const std::string& but = "") {
    for (const std::string& name : names) {
      if (name != but) tensor(3, name);
    }
  }
  void is_split() { gguf_set_val_u16(gguf_.get(), "split.count", 2); }
  [[nodiscard]] std::string obstacle() const { return mtp_obstacle(gguf_.get()); }

 private:
  std::string architecture_;
  std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf_{gguf_init_empty(), &gguf_free};
  std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors_{
      ggml_init({64 * ggml_tensor_overhead(), nullptr, true}), &ggml_free};
};

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::vector<std::string> kGlm = {"ffn_gate_inp", "ffn_gate_shexp", "ffn_up_shexp",
                                       "ffn_down_shexp"};
const std::vector<std::string> kMimo = {"attn_qkv", "ffn_gate", "ffn_up", "ffn_down"};

TEST(MtpLayers, CanDraftWhereTheGraphFindsAllThatItAsksFor) {
  EXPECT_EQ(File("step35").obstacle(), "");
  EXPECT_EQ(File("step35", 3).obstacle(), "");
  File glm("glm4moe");
  glm.all(kGlm);
  EXPECT_EQ(glm.obstacle(), "");
  glm.sections({0, 0, 0, 0});
  EXPECT_EQ(glm.obstacle(), "");
  File mimo("mimo2");
  mimo.all(kMimo);
  EXPECT_EQ(mimo.obstacle(), "");
}

TEST(MtpLayers, AreLeftOutForEachThingThatIsMissing) {
  for (const std::string& but : kGlm) {
    File glm("glm4moe");
    glm.all(kGlm, but);
    EXPECT_TRUE(says(glm.obstacle(), "has no tensor blk.3." + but + ".weight")) << glm.obstacle();
  }
  for (const std::string& but : kMimo) {
    File mimo("mimo2");
    mimo.all(kMimo, but);
    EXPECT_TRUE(says(mimo.obstacle(), "has no tensor blk.3." + but + ".weight")) << mimo.obstacle();
  }
  // The key names a layer that was left out of the file.
  File stripped("hy_v3", 1);
  stripped.number("block_count", 5);
  EXPECT_TRUE(says(stripped.obstacle(), "has no tensor blk.4.nextn.eh_proj.weight"));
}

TEST(MtpLayers, AreLeftOutWhereThereIsNoGraphForThem) {
  EXPECT_TRUE(says(File("llama").obstacle(), "has no MTP layers"));
  EXPECT_TRUE(says(File("step35", 0).obstacle(), "has no MTP layers"));
  EXPECT_TRUE(says(File("deepseek2", 2).obstacle(), "has 2 MTP layers"));
  File glm("glm4moe");
  glm.all(kGlm);
  glm.sections({16, 24, 24, 0});
  EXPECT_TRUE(says(glm.obstacle(), "by sections"));
  EXPECT_TRUE(says(mtp_obstacle(nullptr), "has no MTP layers"));
}

TEST(MtpLayers, OfASplitFileAreNotLookedFor) {
  File split("glm4moe");
  split.is_split();
  EXPECT_EQ(split.obstacle(), "");
}

}  // namespace
}  // namespace gumbelspec::internal
