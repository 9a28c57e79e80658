#include "bindings/c/loaded_pair.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/server/api/field_value.h"
#include "bindings/c/options.h"
#include "bindings/c/status.h"

namespace gumbelspec::c {
namespace {

using server::FieldValue;
using server::Json;

constexpr std::int64_t kMaxInt = 2'147'483'647;

struct Loading {
  PairOptions pair;
  bool is_stopped = false;
};

Attention attention_of(const FieldValue& value) {
  if (value.text() == "exact") return Attention::exact;
  if (value.text() != "fast") value.refuse("exact or fast");
  return Attention::fast;
}

SplitMode split_mode_of(const FieldValue& value) {
  if (value.text() == "none") return SplitMode::none;
  if (value.text() == "layer") return SplitMode::layer;
  if (value.text() != "row") value.refuse("none, layer or row");
  return SplitMode::row;
}

template <class Item, class Read>
std::vector<Item> list_of(const FieldValue& value, Read&& read) {
  std::vector<Item> out;
  for (std::size_t i = 0; i < value.array(0, 256).size(); ++i)
    out.push_back(read(value.element(i)));
  return out;
}

std::size_t size_of(const FieldValue& value, std::int64_t least) {
  return static_cast<std::size_t>(value.integer(least, kMaxInt));
}
int int_of(const FieldValue& value, std::int64_t least) {
  return static_cast<int>(value.integer(least, kMaxInt));
}
std::string text_of(const FieldValue& value) { return value.text(); }

struct LoadOption {
  OptionDoc doc;
  void (*read)(PairOptions&, const FieldValue&);
};

constexpr std::array kOptions = {
    LoadOption{{"n_context", "integer", "Tokens of one text; 0: what the model was trained for"},
               [](PairOptions& o, const FieldValue& v) { o.target.n_context = size_of(v, 0); }},
    LoadOption{{"n_sequences", "integer", "Texts at once: sessions, or slots of a batch (1)"},
               [](PairOptions& o, const FieldValue& v) { o.target.n_sequences = size_of(v, 1); }},
    LoadOption{
        {"max_pass_nodes", "integer", "Nodes of a pass besides prompts (256)"},
        [](PairOptions& o, const FieldValue& v) { o.target.max_pass_nodes = size_of(v, 1); }},
    LoadOption{{"n_threads", "integer", "0: one for each physical core"},
               [](PairOptions& o, const FieldValue& v) { o.target.n_threads = int_of(v, 0); }},
    LoadOption{{"n_gpu_layers", "integer", "Layers on the devices; -1: all"},
               [](PairOptions& o, const FieldValue& v) { o.target.n_gpu_layers = int_of(v, -1); }},
    LoadOption{{"devices", "array of strings", "As gumbelspec info lists them; empty: all"},
               [](PairOptions& o, const FieldValue& v) {
                 o.target.devices = list_of<std::string>(v, text_of);
               }},
    LoadOption{{"tensor_split", "array of numbers", "The devices' parts; empty: by free memory"},
               [](PairOptions& o, const FieldValue& v) {
                 o.target.tensor_split =
                     list_of<float>(v, [](const FieldValue& part) { return part.number(); });
               }},
    LoadOption{{"split_mode", "string", "none, layer or row (layer)"},
               [](PairOptions& o, const FieldValue& v) { o.target.split_mode = split_mode_of(v); }},
    LoadOption{{"main_gpu", "integer", "For split_mode none (0)"},
               [](PairOptions& o, const FieldValue& v) { o.target.main_gpu = int_of(v, 0); }},
    LoadOption{{"rpc_servers", "array of strings", "HOST:PORT of llama.cpp's rpc-servers"},
               [](PairOptions& o, const FieldValue& v) {
                 o.target.rpc_servers = list_of<std::string>(v, text_of);
               }},
    LoadOption{{"n_snapshots", "integer", "Of recurrent models (5): docs/recurrent.md"},
               [](PairOptions& o, const FieldValue& v) { o.target.n_snapshots = size_of(v, 0); }},
    LoadOption{{"use_mmap", "boolean", "Map the files instead of reading them (true)"},
               [](PairOptions& o, const FieldValue& v) { o.target.use_mmap = v.boolean(); }},
    LoadOption{{"attention", "string", "exact or fast: docs/exactness.md (exact)"},
               [](PairOptions& o, const FieldValue& v) { o.target.attention = attention_of(v); }},
    LoadOption{{"kernels", "boolean", "This project's CPU kernels (true)"},
               [](PairOptions& o, const FieldValue& v) { o.uses_kernels = v.boolean(); }},
    LoadOption{{"cost_cache", "boolean", "Keep what passes cost for later processes (true)"},
               [](PairOptions& o, const FieldValue& v) { o.uses_cost_cache = v.boolean(); }},
};

PairOptions read_options(const Json& options) {
  PairOptions out;
  for (const auto& item : options.items()) {
    const auto* found = kOptions.begin();
    while (found != kOptions.end() && found->doc.name != item.key()) ++found;
    if (found == kOptions.end()) refuse_unknown(item.key(), load_option_docs());
    if (!item.value().is_null()) found->read(out, FieldValue(item.value(), item.key()));
  }
  return out;
}

std::string info_of(const LoadedPair& loaded) {
  const LlamaModel& target = loaded.pair.target();
  const LlamaModel* draft = loaded.pair.draft_model();
  const ModelLimits& limits = target.limits();
  const PassGuarantee guarantee = target.guarantee();
  return server::to_text(Json{
      {"n_vocab", limits.n_vocab},
      {"n_context", limits.n_context},
      {"n_sequences", limits.n_sequences},
      {"has_draft", draft != nullptr},
      {"target", target.description()},
      {"draft", draft == nullptr ? "" : draft->description()},
      {"bos", target.bos_text()},
      {"eos", target.eos_text()},
      {"same_seed", guarantee.holds},
      {"why", guarantee.reason()},
  });
}

}  // namespace

SequenceLease::SequenceLease(LoadedPair& pair, std::size_t n) : pair_(pair), n_(n) {
  const std::size_t n_sequences = pair.pair.target().limits().n_sequences;
  if (pair.n_taken + n > n_sequences) {
    throw Error(ErrorCode::invalid_option,
                std::to_string(pair.n_taken) + " of n_sequences " + std::to_string(n_sequences) +
                    " are in use, and " + std::to_string(n) +
                    " more needed; free sessions and batches, or load with a larger n_sequences",
                "n_sequences");
  }
  pair.n_taken += n;
}

std::span<const OptionDoc> load_option_docs() {
  static const std::vector<OptionDoc> kDocs = [] {
    std::vector<OptionDoc> out;
    for (const LoadOption& option : kOptions) out.push_back(option.doc);
    return out;
  }();
  return kDocs;
}

std::shared_ptr<LoadedPair> load_pair(const char* target, const char* draft, const char* options,
                                      gumbelspec_progress progress, void* user) {
  require_pointer(target, "target");
  PairOptions pair = read_options(parse_options(options));
  auto stop = std::make_shared<std::atomic<const Flag*>>(nullptr);
  bool is_stopped = false;
  pair.target.path = target;
  pair.target.is_cancelled = [stop] {
    const Flag* const flag = stop->load(std::memory_order_relaxed);
    return flag != nullptr && flag->load(std::memory_order_relaxed);
  };
  if (progress != nullptr) {
    pair.target.on_progress = [=, &is_stopped](float done) {
      is_stopped = is_stopped || progress(done, user) == 0;
      return !is_stopped;
    };
  }
  if (draft != nullptr && *draft != '\0') {
    pair.draft = [&](const LlamaModel& loaded) {
      return draft_options(draft, pair.target, loaded.limits());
    };
  }
  try {
    auto loaded = std::make_shared<LoadedPair>(LoadedPair{.pair = Pair::load(pair), .api = {}});
    loaded->api = server::make_api_model(loaded->pair.target());
    loaded->api.has_draft = loaded->pair.draft() != nullptr;
    loaded->api.keeps_seed = loaded->pair.target().guarantee().holds;
    loaded->stop = std::move(stop);
    loaded->info = info_of(*loaded);
    return loaded;
  } catch (const Error&) {
    if (!is_stopped) throw;
    throw Misuse(GUMBELSPEC_STOPPED, "the loading was stopped by the progress function");
  }
}

}  // namespace gumbelspec::c

gumbelspec_status gumbelspec_pair_load(const char* target, const char* draft, const char* options,
                                       gumbelspec_progress progress, void* user,
                                       gumbelspec_pair** out) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(out, "out");
    auto pair = std::make_unique<gumbelspec_pair>();
    pair->loaded = gumbelspec::c::load_pair(target, draft, options, progress, user);
    *out = pair.release();
  });
}

void gumbelspec_pair_free(gumbelspec_pair* pair) { delete pair; }

gumbelspec_status gumbelspec_pair_info(const gumbelspec_pair* pair, const char** out) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(pair, "pair");
    gumbelspec::c::require_pointer(out, "out");
    *out = pair->loaded->info.c_str();
  });
}
