// Models that are not always there: put away while nobody asks, and several behind one server.
#include <gguf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ggml.h"
#include "tests/cli/process.h"
#include "tests/server/program/server_process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr const char* kJson = "application/json";

Json get(const Server& server, const std::string& path) {
  const auto result = server.client().Get(path);
  return result ? Json::parse(result->body, nullptr, false) : Json();
}

Json post(const Server& server, const std::string& path, const Json& body) {
  const auto result = server.client().Post(path, body.dump(), kJson);
  return result ? Json::parse(result->body, nullptr, false) : Json();
}

Json prompt(const std::string& model = "") {
  Json body{{"prompt", "The old house"}, {"max_tokens", 24}, {"seed", 7}};
  if (!model.empty()) body["model"] = model;
  return body;
}

TEST(ServeSleep, PutsItsModelsAwayAndGivesTheSameTextsAfterwards) {
  Server server({"--sleep-idle-seconds", "1"});
  const std::string text = post(server, "/v1/completions", prompt())["choices"][0]["text"];
  EXPECT_FALSE(text.empty());
  for (int time = 0; time < 2; ++time) {
    while (!get(server, "/props")["is_sleeping"].get<bool>()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_EQ(get(server, "/health")["status"], "ok");
    const Json answer = post(server, "/v1/completions", prompt());
    EXPECT_EQ(answer["choices"][0]["text"], text);
    EXPECT_EQ(answer["timings"]["cache_n"], 0) << "what was evaluated is gone";
  }
  EXPECT_THAT(server.client().Get("/metrics")->body,
              HasSubstr("\nllamacpp:tokens_predicted_total 72\n"));
  const ProcessResult result = server.stop();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("gumbelspec: asleep"));
}

TEST(ServeSleep, EndsWhileItSleeps) {
  Server server({"--sleep-idle-seconds", "1"});
  server.process().wait_for_errors_with("gumbelspec: asleep");
  EXPECT_EQ(server.stop().exit_code, 0);
}

// The pair's models, one of them with its draft, and one that is not there.
std::string presets() {
  const std::string folder = GUMBELSPEC_MODELS_DIR;
  return "[*]\nthreads = 1\n[big]\nmodel = " + folder +
         "/demo-target-q8_0.gguf\nmodel-draft = " + folder +
         "/demo-draft-q8_0.gguf\n[small]\nmodel = " + folder +
         "/demo-draft-q8_0.gguf\nc = 64\n[gone]\nmodel = /nowhere/model.gguf\n";
}

std::string state_of(const Server& server, const std::string& name) {
  const Json list = get(server, "/models");
  for (const Json& model : list["data"]) {
    if (model["id"] == name) return model["status"]["value"];
  }
  return "not listed";
}

TEST(ServeModels, EachGivesItsOwnTexts) {
  ::setenv("GUMBELSPEC_ARG_PARALLEL", "2", 1);
  const TemporaryFile file(presets());
  Server server({"--models-preset", file.path(), "--models-max", "1"});
  ::unsetenv("GUMBELSPEC_ARG_PARALLEL");
  const auto expected = [](const std::string& model) {
    return Json::parse(generate({"-m", std::string(GUMBELSPEC_MODELS_DIR "/") + model, "-p",
                                 "The old house", "-n", "24", "--seed", "7", "--json"})
                           .out)["text"];
  };
  EXPECT_EQ(get(server, "/props")["role"], "router");
  EXPECT_EQ(state_of(server, "big"), "unloaded");
  const Json big = post(server, "/v1/completions", prompt("big"));
  EXPECT_EQ(big["choices"][0]["text"], expected("demo-target-q8_0.gguf")) << big;
  EXPECT_EQ(big["model"], "big");
  EXPECT_EQ(state_of(server, "big"), "loaded");
  const Json small = post(server, "/v1/completions", prompt("small"));
  EXPECT_EQ(small["choices"][0]["text"], expected("demo-draft-q8_0.gguf")) << small;
  EXPECT_EQ(state_of(server, "big"), "unloaded") << "there is room for one";
  // Its own options, and the command's.
  const Json props = get(server, "/props?model=small");
  EXPECT_EQ(props["total_slots"], 2);
  EXPECT_EQ(props["default_generation_settings"]["n_ctx"], 64);
  EXPECT_EQ(post(server, "/v1/completions", prompt())["error"]["param"], "model");
  EXPECT_EQ(post(server, "/v1/completions", prompt("other"))["error"]["code"], "model_not_found");
  const Json gone = post(server, "/v1/completions", prompt("gone"));
  EXPECT_EQ(gone["error"]["code"], "load_failed");
  EXPECT_THAT(gone["error"]["message"].get<std::string>(), HasSubstr("/nowhere/model.gguf"));
  const ProcessResult result = server.stop();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("gumbelspec: small: stopped"));
}

TEST(ServeModels, AStreamComesThroughAndEndsWithItsClient) {
  const TemporaryFile file(presets());
  Server server({"--models-preset", file.path()});
  Json body = prompt("big");
  body["stream"] = true;
  const auto whole = server.client().Post("/v1/completions", body.dump(), kJson);
  ASSERT_TRUE(whole);
  EXPECT_THAT(whole->get_header_value("Content-Type"), HasSubstr("text/event-stream"));
  EXPECT_THAT(whole->body, AllOf(HasSubstr("data: {"), HasSubstr("data: [DONE]")));
  // One who goes away in the middle leaves no text behind.
  body["max_tokens"] = 900;
  body["ignore_eos"] = true;
  auto leaving = server.client();
  EXPECT_FALSE(leaving.Post("/v1/completions", httplib::Headers(), body.dump(), kJson,
                            [](const char*, std::size_t) { return false; }));
  while (get(server, "/slots?model=big")[0]["is_processing"].get<bool>()) std::this_thread::yield();
  EXPECT_EQ(post(server, "/models/unload", {{"model", "big"}})["success"], true);
  server.process().wait_for_errors_with("gumbelspec: big: stopped");
  EXPECT_EQ(server.stop().exit_code, 0);
}

TEST(ServeModels, LooksAgainWhenAskedTo) {
  const TemporaryFile file(presets());
  Server server({"--models-preset", file.path(), "--no-models-autoload"});
  EXPECT_EQ(post(server, "/tokenize", {{"model", "small"}, {"content", "a"}})["error"]["code"],
            "model_not_loaded");
  EXPECT_EQ(post(server, "/models/load", {{"model", "small"}})["success"], true);
  server.process().wait_for_errors_with("gumbelspec: small: ready");
  while (state_of(server, "small") != "loaded") std::this_thread::yield();
  EXPECT_TRUE(post(server, "/tokenize", {{"model", "small"}, {"content", "a"}}).contains("tokens"));
  std::ofstream(file.path()) << "[other]\nmodel = /nowhere/other.gguf\n";
  EXPECT_EQ(state_of(server, "other"), "not listed");
  EXPECT_EQ(get(server, "/models?reload=1")["data"].size(), 1U);
  server.process().wait_for_errors_with("gumbelspec: small: stopped");
  EXPECT_EQ(state_of(server, "other"), "unloaded");
  std::ofstream(file.path()) << "[other\n";
  EXPECT_EQ(get(server, "/models?reload=1")["error"]["type"], "invalid_request_error");
  EXPECT_EQ(server.stop().exit_code, 0);
}

// A LoRA adapter for the demo target's first layer.
void write_lora(const std::string& path) {
  ggml_context* shapes = nullptr;
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> base(
      gguf_init_from_file(GUMBELSPEC_MODELS_DIR "/demo-target-q8_0.gguf",
                          {/*no_alloc=*/true, &shapes}),
      &gguf_free);
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> owner(shapes, &ggml_free);
  const ggml_tensor* matrix = ggml_get_tensor(shapes, "blk.0.attn_q.weight");
  ASSERT_NE(matrix, nullptr);
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), &gguf_free);
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors(
      ggml_init({1 << 22, nullptr, false}), &ggml_free);
  gguf_set_val_str(file.get(), "general.type", "adapter");
  gguf_set_val_str(file.get(), "adapter.type", "lora");
  gguf_set_val_str(file.get(), "general.architecture",
                   gguf_get_val_str(base.get(), gguf_find_key(base.get(), "general.architecture")));
  gguf_set_val_f32(file.get(), "adapter.lora.alpha", 2.0F);
  std::mt19937 random(9);
  const auto add = [&](const char* name, std::int64_t n, std::int64_t m) {
    ggml_tensor* t = ggml_new_tensor_2d(tensors.get(), GGML_TYPE_F32, n, m);
    ggml_set_name(t, name);
    for (std::int64_t i = 0; i < n * m; ++i) {
      static_cast<float*>(t->data)[i] = std::normal_distribution<float>(0.0F, 2.0F)(random);
    }
    gguf_add_tensor(file.get(), t);
  };
  add("blk.0.attn_q.weight.lora_a", matrix->ne[0], 2);
  add("blk.0.attn_q.weight.lora_b", 2, matrix->ne[1]);
  ASSERT_TRUE(gguf_write_to_file(file.get(), path.c_str(), false));
}

TEST(ServeLora, TextsAreThoseOfTheScaleAndOfNoOther) {
  const TemporaryFile file("");
  write_lora(file.path());
  const auto expected = [&](const std::string& scale) {
    return Json::parse(generate({"--lora-scaled", file.path() + ":" + scale, "-p", "The old house",
                                 "-n", "24", "--seed", "7", "--json", "--method", "ar"})
                           .out)["text"];
  };
  Server server({"--lora", file.path(), "--method", "ar"});
  EXPECT_EQ(get(server, "/lora-adapters"),
            (Json{{{"id", 0}, {"path", file.path()}, {"scale", 1}}}));
  std::vector<Json> texts;
  for (const char* scale : {"1", "0.25", "1"}) {
    SCOPED_TRACE(scale);
    const Json wanted = {{{"id", 0}, {"scale", std::stof(scale)}}};
    EXPECT_EQ(post(server, "/lora-adapters", wanted)["success"], true);
    const Json answer = post(server, "/v1/completions", prompt());
    texts.push_back(answer["choices"][0]["text"]);
    EXPECT_EQ(texts.back(), expected(scale));
    EXPECT_EQ(answer["timings"]["cache_n"], 0);
  }
  EXPECT_NE(texts[0], texts[1]) << "the adapter does something";
  Json own = prompt();
  own["lora"] = {{{"id", 0}, {"scale", 0.5}}};
  EXPECT_EQ(post(server, "/v1/completions", own)["error"]["param"], "lora");
  EXPECT_EQ(server.stop().exit_code, 0);
}

}  // namespace
}  // namespace gumbelspec::testing
