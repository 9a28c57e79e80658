#include "apps/common/hub_options.h"

#include <cstdio>
#include <filesystem>

#include "apps/common/report.h"
#include "apps/common/stop_signals.h"
#include "apps/hub/hub.h"

namespace gumbelspec::apps {
namespace {

std::string size_text(std::uint64_t n_bytes) {
  const auto bytes = static_cast<double>(n_bytes);
  return n_bytes < 1'000'000'000 ? formatted("%.1f MB", bytes / 1e6)
                                 : formatted("%.2f GB", bytes / 1e9);
}

// "model.gguf 37 %, 1.21 of 3.29 GB, 48.1 MB/s, 43 s left"
std::string transfer_line(const hub::Transfer& transfer) {
  std::string line = std::filesystem::path(transfer.name).filename().string();
  if (transfer.n_total > 0) {
    line += " " + std::to_string(100 * transfer.n_done / transfer.n_total) + " %, " +
            size_text(transfer.n_done) + " of " + size_text(transfer.n_total);
  } else {
    line += " " + size_text(transfer.n_done);
  }
  if (transfer.rate <= 0.0) return line;
  line += ", " + size_text(static_cast<std::uint64_t>(transfer.rate)) + "/s";
  if (transfer.n_total > transfer.n_done) {
    const double left_s = static_cast<double>(transfer.n_total - transfer.n_done) / transfer.rate;
    line += left_s < 100.0 ? formatted(", %.0f s left", left_s)
                           : formatted(", %.0f min left", left_s / 60.0);
  }
  return line;
}

}  // namespace

void add_hub_options(Arguments& arguments, HubOptions& options) {
  add_text(arguments, "--hf-repo", "REPOSITORY", options.repo,
           "Target by name from Hugging Face: USER/MODEL[:QUANT], e.g. Qwen/Qwen3-8B-GGUF:Q4_K_M; "
           "kept in the cache that Hugging Face's tools share; HF_TOKEN, HF_ENDPOINT and "
           "HF_HUB_CACHE mean what they mean there (default quant: Q4_K_M, else Q8_0)");
  add_text(arguments, "--hf-repo-draft", "REPOSITORY", options.repo_draft,
           "The same for the draft: USER/MODEL[:QUANT]");
  add_text(arguments, "--hf-file", "FILE", options.file,
           "This file of the target's repository, instead of one by its quantization");
  add_text(arguments, "--hf-token", "TOKEN", options.token,
           "Token for private and gated models; others can see it in the list of processes, so "
           "rather set HF_TOKEN");
  add_text(arguments, "--model-url", "URL", options.url,
           "Target from this address, e.g. https://example.org/model.gguf; kept in the cache");
  arguments.add_flag("--offline", options.is_offline,
                     "No network: what is in the cache, or nothing");
  arguments.group_new_options("Models by name");
}

void fetch_models(const HubOptions& options, std::string& target, std::string& draft,
                  Progress& progress) {
  if (!options.file.empty() && options.repo.empty()) {
    throw bad_option("--hf-file without --hf-repo; give the repository with -hf USER/MODEL");
  }
  const int n_targets =
      (target.empty() ? 0 : 1) + (options.repo.empty() ? 0 : 1) + (options.url.empty() ? 0 : 1);
  if (n_targets > 1) {
    throw bad_option("the target is given more than once; give one of -m, -hf and -mu");
  }
  if (!draft.empty() && !options.repo_draft.empty()) {
    throw bad_option("the draft is given twice; give one of -md and -hfd");
  }
  if (options.repo.empty() && options.url.empty() && options.repo_draft.empty()) return;
  hub::Settings settings = hub::settings_of_environment();
  if (!options.token.empty()) settings.token = options.token;
  settings.is_offline = options.is_offline;
  settings.is_cancelled = stop_requested;
  settings.on_progress = [&](const hub::Transfer& transfer) {
    progress.show(transfer_line(transfer));
  };
  settings.on_notice = [&](const std::string& line) {
    progress.clear();
    say(line);
  };
  try {
    const std::string& draft_name = options.repo_draft;
    // A name that is wrong is told before anything is fetched.
    if (!draft_name.empty()) (void)hub::parse_name(draft_name);
    if (!options.repo.empty()) {
      target = hub::fetch(hub::parse_name(options.repo), options.file, settings);
    }
    if (!options.url.empty()) target = hub::fetch_url(options.url, settings);
    if (!draft_name.empty()) draft = hub::fetch(hub::parse_name(draft_name), "", settings);
  } catch (const hub::Cancelled&) {
    progress.clear();
    throw Stopped();
  } catch (const Error&) {
    progress.clear();
    throw;
  }
  progress.clear();
  if (draft.empty()) {
    const std::string name = options.repo.empty() ? target : options.repo;
    if (const hub::KnownDraft known = hub::known_draft(name); !known.name.empty()) {
      say("a draft of this family may make it faster: -hfd " + known.name + " (" + known.what +
          ")");
    }
  }
}

}  // namespace gumbelspec::apps
