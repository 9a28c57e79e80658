// Places and frames of grammars: one object each, and how long they are kept.
#include <algorithm>

#include "gumbelspec/error.h"
#include "src/llama/grammar_sets.h"

namespace gumbelspec::internal {
namespace {

using Kind = GrammarStep::Kind;

std::uint64_t hash_of(const std::vector<GrammarFrame::Return>& returns) {
  std::uint64_t hash = returns.size();
  for (const auto& to : returns) {
    hash = mixed(mixed(hash, to.step), to.frame == nullptr ? 0 : to.frame->id);
  }
  return hash;
}

std::uint64_t hash_of(const std::vector<GrammarReading>& readings, bool may_end,
                      std::uint32_t waiting) {
  std::uint64_t hash = mixed(waiting, may_end ? 1 : 2);
  for (const auto& reading : readings) {
    hash = mixed(mixed(mixed(hash, reading.step), reading.in_character), reading.frame->id);
  }
  return hash;
}

// About, with what the containers need.
std::size_t bytes_of(const GrammarFrame& frame) {
  return 96 + frame.returns.size() * sizeof(GrammarFrame::Return);
}
std::size_t bytes_of(const GrammarPlace& place) {
  return 192 + place.readings.size() * sizeof(GrammarReading);
}

}  // namespace

const GrammarFrame* GrammarStates::frame_of(std::vector<GrammarFrame::Return> returns) {
  make_set(returns);
  const std::uint64_t hash = hash_of(returns);
  const auto [first, last] = frame_by_hash_.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    if (same_lists(known->second->returns, returns)) return known->second;
  }
  auto frame = std::make_unique<GrammarFrame>();
  frame->returns = std::move(returns);
  frame->id = ++n_ids_;
  n_bytes_ += bytes_of(*frame);
  frame_by_hash_.emplace(hash, frame.get());
  frames_.push_back(std::move(frame));
  return frames_.back().get();
}

GrammarPlace* GrammarStates::place_of(std::vector<GrammarReading> readings, bool may_end,
                                      std::uint32_t waiting) {
  const std::uint64_t hash = hash_of(readings, may_end, waiting);
  const auto [first, last] = place_by_hash_.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    const GrammarPlace& place = *known->second;
    if (place.may_end == may_end && place.waiting == waiting &&
        same_lists(place.readings, readings)) {
      return known->second;
    }
  }
  auto place = std::make_shared<GrammarPlace>();
  place->readings = std::move(readings);
  place->readings.shrink_to_fit();
  place->may_end = may_end;
  place->waiting = waiting;
  place->id = ++n_ids_;
  place->has_tokens = std::any_of(place->readings.begin(), place->readings.end(),
                                  [&](const GrammarReading& reading) {
                                    const Kind kind = program_.steps[reading.step].kind;
                                    return kind == Kind::token || kind == Kind::not_token;
                                  });
  n_bytes_ += bytes_of(*place);
  place_by_hash_.emplace(hash, place.get());
  places_.push_back(place);
  return place.get();
}

PlacePtr GrammarStates::hold(const GrammarPlace* place) {
  return place == nullptr ? nullptr
                          : std::const_pointer_cast<GrammarPlace>(place->shared_from_this());
}

void GrammarStates::begin_work() {
  work_ = 0;
  // What an error left.
  todo_.clear();
  for (auto& callers : callers_) callers.clear();
  for (auto& rules : called_) rules.clear();
  ranks_.clear();
  if (n_bytes_ <= drop_at_) return;
  drop_unused();
  // What texts hold stays, so not at every token again.
  drop_at_ = n_bytes_ + limits_.max_bytes;
  if (n_bytes_ <= limits_.max_held) return;
  throw Error(ErrorCode::invalid_option,
              "grammar can be read in too many ways here: its texts hold " +
                  std::to_string(n_bytes_ >> 20U) + " MiB, at most " +
                  std::to_string(limits_.max_held >> 20U) +
                  " are allowed; write it so that fewer of its parts fit the same text",
              "grammar");
}

// All places but those that somebody holds, and the frames that these need.
void GrammarStates::drop_unused() {
  std::vector<PlacePtr> kept;
  for (PlacePtr& place : places_) {
    if (place.use_count() > 1) kept.push_back(std::move(place));
  }
  places_.clear();
  place_by_hash_.clear();
  frame_by_hash_.clear();
  n_bytes_ = 0;
  for (const PlacePtr& place : kept) {
    place->next_.clear();
    place->next_.shrink_to_fit();
    for (const auto& reading : place->readings) reading.frame->is_kept = true;
  }
  // A frame returns to older ones only.
  for (std::size_t i = frames_.size(); i-- > 0;) {
    if (!frames_[i]->is_kept) continue;
    for (const auto& to : frames_[i]->returns) {
      if (to.frame != nullptr) to.frame->is_kept = true;
    }
  }
  std::vector<std::unique_ptr<GrammarFrame>> frames;
  for (auto& frame : frames_) {
    if (!frame->is_kept) continue;
    frame->is_kept = false;
    n_bytes_ += bytes_of(*frame);
    frame_by_hash_.emplace(hash_of(frame->returns), frame.get());
    frames.push_back(std::move(frame));
  }
  frames_ = std::move(frames);
  for (const PlacePtr& place : kept) {
    n_bytes_ += bytes_of(*place);
    place_by_hash_.emplace(hash_of(place->readings, place->may_end, place->waiting), place.get());
  }
  places_ = std::move(kept);
}

}  // namespace gumbelspec::internal
