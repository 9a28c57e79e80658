#include "testing/zoo/model_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/session.h"
#include "testing/zoo/batches.h"
#ifdef GUMBELSPEC_WITH_KERNELS
#include "gumbelspec/kernels.h"
#endif

namespace gumbelspec::zoo {
namespace {

constexpr std::size_t kGenerated = 24;
constexpr std::size_t kShortPrompt = 40;  // longer than the sliding windows
constexpr std::size_t kLongPrompt = 264;  // and than a block of 256 cells of the cache
constexpr std::size_t kSnapshots = 5;     // where the architecture has them

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

void register_device(bool is_wanted) {
#ifdef GUMBELSPEC_WITH_KERNELS
  if (is_wanted) (void)kernels::register_device();
#else
  (void)is_wanted;
#endif
}

std::unique_ptr<LlamaModel> load(const std::string& path, std::size_t n_snapshots,
                                 std::size_t n_sequences = 1,
                                 const LlamaModelOptions& others = {}) {
  LlamaModelOptions options = others;
  options.n_sequences = n_sequences;
  options.n_snapshots = n_snapshots;
  options.path = path;
  options.n_threads = 1;
  options.max_pass_nodes = 64;
#ifdef GUMBELSPEC_WITH_KERNELS
  // As the program does: what the kernels say of themselves, if they are registered.
  if (const kernels::Info info = kernels::info(); !info.isa.empty() && info.attention) {
    options.order_free_types = info.types;
  }
#endif
  return LlamaModel::load(options);
}

// What several comparisons say together.
void add(Difference& sum, const Difference& one) {
  sum.n_rows += one.n_rows;
  sum.largest = std::max(sum.largest, one.largest);
  sum.median = std::max(sum.median, one.median);
  sum.n_other_choice += one.n_other_choice;
  sum.largest_margin = std::max(sum.largest_margin, one.largest_margin);
}

class Check {
 public:
  Check(const ZooModel& model, const CheckOptions& options) : model_(model), options_(options) {
    report_.name = model.name;
  }

  ModelReport run() {
    stage("writing it");
    files_ = write_model(model_, options_.seed, options_.folder);
    report_.sight = files_.sight;
    if (model_.refusal.empty()) {
      look_at_sight();
      read_plainly();
    }
    stage("loading it");
    register_device(options_.uses_kernels);
    try {
      target_ = load(files_.path, kSnapshots);
      report_.is_loaded = true;
    } catch (const Error& error) {
      report_.refusal = error.what();
      // Where the file happened to lie is of no interest.
      const auto at = report_.refusal.find(options_.folder + "/");
      if (at != std::string::npos) report_.refusal.erase(at, options_.folder.size() + 1);
    }
    judge_loading();
    if (!report_.is_loaded || !model_.refusal.empty()) return std::move(report_);
    compare_rows();
    compare_methods();
    return std::move(report_);
  }

 private:
  void stage(const std::string& name) const {
    if (options_.on_stage) options_.on_stage(name);
  }
  void fault(const std::string& line) { report_.faults.push_back(line); }

  void look_at_sight();
  void read_plainly();
  void judge_loading();
  void compare_rows();
  void compare_methods();
  void compare_with_head(LanguageModel& useless, const std::vector<std::vector<TokenId>>& prompts);
  void compare_in_batches(const std::vector<std::vector<TokenId>>& prompts);
  [[nodiscard]] Agreement agreement(LanguageModel& model,
                                    const std::vector<PlainText>& texts) const;
  void judge(const Agreement& agreement, const std::string& which);

  const ZooModel& model_;
  const CheckOptions& options_;
  ModelReport report_;
  WrittenModel files_;
  std::vector<PlainText> plain_texts_;      // of the file with matrices of type F32
  std::vector<PlainText> quantized_texts_;  // of the model itself
  std::unique_ptr<LlamaModel> target_;
};

void Check::look_at_sight() {
  const Sight& sight = report_.sight;
  if (!(sight.spread > 1.5F && sight.spread < 2.5F)) {
    fault("the spread of its logits is " + number("%.2f", sight.spread) + ", not about 2");
  }
  if (!(sight.context > 0.03F)) {
    fault("it is blind: another token changes its logits by " + number("%.3f", sight.context));
  }
}

void Check::read_plainly() {
  stage("running it with plain llama.cpp");
  const auto read = [&](const std::string& path, const std::string& nudged_path) {
    const PlainLlama llama(path);
    const PlainLlama nudged(nudged_path);
    std::vector<PlainText> texts;
    texts.push_back(make_plain_text(llama, nudged, {kShortPrompt, kGenerated, 16, 1}));
    texts.push_back(make_plain_text(llama, nudged, {kLongPrompt, kGenerated, kLongPrompt - 1, 2}));
    return texts;
  };
  plain_texts_ = read(files_.plain_path, files_.nudged_plain_path);
  quantized_texts_ =
      files_.path == files_.plain_path ? plain_texts_ : read(files_.path, files_.nudged_path);
}

void Check::judge_loading() {
  if (model_.refusal.empty()) {
    if (!report_.is_loaded) fault("it is refused: " + report_.refusal);
  } else if (report_.is_loaded) {
    fault("it is not refused, with \"" + model_.refusal + "\"");
  } else if (report_.refusal.find(model_.refusal) == std::string::npos) {
    fault("it is refused without the words \"" + model_.refusal + "\": " + report_.refusal);
  }
  if (report_.refusal.find('\n') != std::string::npos) fault("it is refused with several lines");
}

Agreement Check::agreement(LanguageModel& model, const std::vector<PlainText>& texts) const {
  Agreement result;
  result.is_known = true;
  for (const PlainText& text : texts) {
    add(result.rounding, rounding_of(text));
    add(result.own, difference(text.rows, rows_one_by_one(model, text)));
    if (model.limits().can_branch) {
      add(result.own, difference(text.rows, rows_of_trees(model, text)));
    } else if (model.limits().longest_chain() >= 4) {
      add(result.own, difference(text.rows, rows_of_chains(model, text)));
    }
  }
  result.tolerance = 0.03F + 3.0F * result.rounding.largest;
  return result;
}

void Check::judge(const Agreement& agreement, const std::string& which) {
  const Difference& own = agreement.own;
  const Difference& rounding = agreement.rounding;
  // Where a token is about to go to another expert, rounding decides, and the row jumps: few do.
  const bool jumps = model_.architecture.has_experts;
  const float limit = jumps ? 0.03F + 3.0F * rounding.median : agreement.tolerance;
  const float seen = jumps ? own.median : own.largest;
  if (seen <= limit) return;
  fault("with " + which + " its logits are not llama.cpp's: " + number("%.3g", seen) +
        (jumps ? " off in the median row" : " off") + ", of which rounding explains " +
        number("%.3g", limit) + "; " + std::to_string(own.n_other_choice) + " of " +
        std::to_string(own.n_rows) + " likeliest tokens differ, by margins up to " +
        number("%.3g", own.largest_margin));
}

void Check::compare_rows() {
  stage("comparing its rows with plain llama.cpp's");
  report_.is_plain = target_->limits().longest_chain() == 0;
  report_.quantized = agreement(*target_, quantized_texts_);
  judge(report_.quantized, "matrices of type " + model_.weights);
  if (files_.path == files_.plain_path) {
    report_.plain = report_.quantized;
    return;
  }
  const auto plain = load(files_.plain_path, kSnapshots);
  report_.plain = agreement(*plain, plain_texts_);
  judge(report_.plain, "matrices of type f32");
}

void Check::compare_methods() {
  stage("generating texts");
  const auto draft = load(files_.path, 0);
  const ZooModel useless_file = useless_model(target_->limits().n_vocab);
  const auto useless =
      load(write_unseen_model(useless_file, options_.seed + 1, options_.folder), 0);
  std::vector<std::vector<TokenId>> prompts;
  for (const PlainText& text : quantized_texts_) {
    std::vector<TokenId>& prompt = prompts.emplace_back();
    for (std::size_t i = 0; i + kGenerated < text.tokens.size(); ++i) {
      prompt.push_back(TokenId{text.tokens[i]});
    }
  }
  report_.texts = compare_texts(*target_, *draft, *useless, prompts, kGenerated);
  if (target_->rollback().n_snapshots > 0) {
    // The other way back.
    const auto other = load(files_.path, 0);
    add(report_.texts, compare_texts(*other, *draft, *useless, prompts, kGenerated));
  }
  compare_in_batches(prompts);
  compare_with_head(*useless, prompts);
  const TextReport& texts = report_.texts;
  const PassGuarantee guarantee = target_->guarantee();
  if (!guarantee.holds) {
    // Nothing was promised, and the program says so; what came of it stands in the report.
    report_.no_promise = guarantee.reason();
    return;
  }
  if (texts.n_identical != texts.n_texts) {
    fault(std::to_string(texts.n_texts - texts.n_identical) + " of " +
          std::to_string(texts.n_texts) + " texts are not plain decoding's: " +
          texts.first_different + ", margin " + number("%.3g", texts.margin));
  }
  const double expected = texts.is_plain ? 1.0 : 4.0;
  if (std::fabs(texts.chain_tokens_per_pass - expected) > 1e-9) {
    fault("as its own draft it brings " + number("%.2f", texts.chain_tokens_per_pass) +
          " tokens per pass, not " + number("%.0f", expected));
  }
}

// The model's own MTP layers as its draft: their weights are random, so what they say is wrong.
void Check::compare_with_head(LanguageModel& useless,
                              const std::vector<std::vector<TokenId>>& prompts) {
  if (!LlamaModel::has_mtp_layers(files_.path)) return;
  stage("drafting with its MTP layers");
  const auto target = load(files_.path, kSnapshots, 1, {.loads_mtp = true});
  const auto head = load("", 0, 1, {.attention = Attention::fast, .target = target.get()});
  {
    Session session(*target, head.get(), {.method = parse_method("gumbel-beam:width=3,length=3")});
    Outcome outcome = session.start(prompts[0], 1);
    while (outcome == Outcome::running) outcome = session.step();
    if (session.statistics().n_drafted < session.statistics().n_rounds) {
      fault("its MTP layers draft nothing");
    }
  }
  TextReport texts = compare_texts(*target, *head, useless, prompts, kGenerated);
  texts.chain_tokens_per_pass = report_.texts.chain_tokens_per_pass;
  texts.useless_tokens_per_pass = report_.texts.useless_tokens_per_pass;
  if (target->guarantee().holds) add(report_.texts, texts);
}

// Recurrent states are what several texts, and prompts that go on, could get wrong.
void Check::compare_in_batches(const std::vector<std::vector<TokenId>>& prompts) {
  if (target_->rollback().state_bytes == 0) return;
  stage("generating texts in batches");
  const std::size_t n_sequences = 2 * prompts.size() - 1;  // fewer than texts
  const auto draft = load(files_.path, 0, n_sequences);
  for (const std::size_t n_snapshots : {kSnapshots, std::size_t{0}}) {
    if (n_snapshots > 0 && target_->rollback().n_snapshots == 0) continue;
    const auto target = load(files_.path, n_snapshots, n_sequences);
    std::size_t n_reused = 0;
    TextReport texts = compare_batches(*target, *draft, prompts, kGenerated, n_reused);
    texts.chain_tokens_per_pass = report_.texts.chain_tokens_per_pass;
    texts.useless_tokens_per_pass = report_.texts.useless_tokens_per_pass;
    // What is promised to a text alone may be more.
    if (target->guarantee().holds) add(report_.texts, texts);
    if (n_reused == 0) fault("of the next turns of chats nothing is reused");
  }
}

}  // namespace

ModelReport check_model(const ZooModel& model, const CheckOptions& options) {
  const std::clock_t begin = std::clock();
  ModelReport report = Check(model, options).run();
  report.seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  return report;
}

}  // namespace gumbelspec::zoo
