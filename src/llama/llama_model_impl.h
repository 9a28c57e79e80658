// What a LlamaModel has loaded: its file, its place in a context, its sequences, its servers.
#ifndef GUMBELSPEC_SRC_LLAMA_LLAMA_MODEL_IMPL_H_
#define GUMBELSPEC_SRC_LLAMA_LLAMA_MODEL_IMPL_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "llama.h"
#include "src/llama/context_setup.h"
#include "src/llama/devices.h"
#include "src/llama/grammar.h"
#include "src/llama/head_plan.h"
#include "src/llama/hidden_states.h"
#include "src/llama/log_capture.h"
#include "src/llama/model_file.h"
#include "src/llama/sequence_cache.h"

namespace gumbelspec {

class LlamaModel::Impl {
 public:
  // What of a model stays the same when restore() loads it anew; other threads may be reading it.
  struct Description {
    std::string text;
    ModelLimits limits;
    LlamaRollback rollback;
    LlamaSize size;
    int n_threads = 1;
  };

  explicit Impl(const LlamaModelOptions& options);
  ~Impl() { unload(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Loads again what was lost with a server, if anything was.
  void restore();

  [[nodiscard]] const Description& description() const { return description_; }
  [[nodiscard]] const std::vector<LlamaPlacement>& placement() const { return placement_; }
  [[nodiscard]] const PassGuarantee& guarantee() const { return guarantee_; }
  // For what does not change.
  [[nodiscard]] const llama_model* vocabulary() const {
    if (vocabulary_) return vocabulary_.get();
    return model_ ? model_.get() : options_.target->impl_->vocabulary();
  }
  [[nodiscard]] HeadKind head_kind() const { return head_; }
  [[nodiscard]] bool has_mtp() const { return mtp_obstacle_.empty(); }
  [[nodiscard]] const llama_vocab* vocab() const { return llama_model_get_vocab(vocabulary()); }
  // Threads: any number at once.
  [[nodiscard]] std::shared_ptr<const Grammar> compile_grammar(const std::string& gbnf,
                                                               const GrammarTrigger& trigger) const;
  // Throws: Error{peer_lost} where nothing is loaded.
  [[nodiscard]] internal::SequenceCache& cache();
  [[nodiscard]] const internal::SequenceCache& cache() const {
    return const_cast<Impl*>(this)->cache();
  }
  [[nodiscard]] RpcTraffic traffic() const;

 private:
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] LlamaSize size_of_file() const;

  void load();
  [[nodiscard]] std::vector<internal::Device> chosen_devices() const;
  void load_on(const std::vector<internal::Device>& devices);
  [[nodiscard]] internal::ModelFileOptions file_options(
      const std::vector<internal::Device>& devices) const;
  // Returns: whether the file is a head's, which then has its context and cache.
  [[nodiscard]] bool make_context(const std::vector<internal::Device>& devices);
  void unload();

  // A head's.
  [[nodiscard]] internal::HeadPlan plan_head() const;
  void load_head(const std::vector<internal::Device>& devices);
  // Throws: Error{invalid_model} where llama.cpp's graph of these layers asks for what the file has
  // not, which mtp_obstacle() should have told.
  void load_mtp(const std::vector<internal::Device>& devices);
  void give_states(const internal::StateSource& source);

  // Of RPC.
  [[nodiscard]] bool is_lost() const;
  void check_servers() const;

  static bool ask_cancelled(void* impl);

  LlamaModelOptions options_;
  internal::LogSink log_;
  std::function<bool()> is_cancelled_;
  HeadKind head_ = HeadKind::none;
  // Why MTP layers cannot draft; empty: they can.
  std::string mtp_obstacle_ = "has no MTP layers loaded (LlamaModelOptions::loads_mtp)";
  internal::StateSource state_source_;  // of the states that passes give to a head
  std::vector<internal::RpcRelay*> relays_;
  internal::LlamaModelPtr vocabulary_;  // null: the model's own will do
  internal::LlamaModelPtr model_;
  internal::ContextSetup setup_;
  std::unique_ptr<internal::SequenceCache> cache_;
  std::vector<LlamaPlacement> placement_;
  PassGuarantee guarantee_;
  Description description_;
  mutable std::once_flag grammar_tokens_made_;
  mutable std::shared_ptr<const internal::GrammarTokens> grammar_tokens_;  // of all grammars
  mutable internal::GrammarCache grammars_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_SRC_LLAMA_LLAMA_MODEL_IMPL_H_
