// The draft tree of a round, for the web page.
#include <cmath>
#include <string>

#include "apps/server/api/answer_json.h"

namespace gumbelspec::server {
namespace {

Json token_json(const ApiModel& model, TokenId token) {
  return {{"token", static_cast<std::int32_t>(token)}, {"text", model.tokenizer->piece(token)}};
}

Json node_json(const ApiModel& model, const DraftTree& tree, NodeId node) {
  return {{"id", static_cast<std::int32_t>(node)},
          {"parent", static_cast<std::int32_t>(tree.parent(node))},
          {"token", static_cast<std::int32_t>(tree.token(node))},
          {"text", model.tokenizer->piece(tree.token(node))},
          {"depth", tree.depth(node)},
          {"value", std::exp(tree.log_value(node))}};
}

Json generated_json(const ApiModel& model, const GeneratedToken& token) {
  Json out = token_json(model, token.token);
  out["depth"] = token.depth;
  // Where there was no other token to take there is no margin.
  const bool has_runner_up = std::isfinite(token.margin);
  out["margin"] = has_runner_up ? Json(token.margin) : Json(nullptr);
  out["drafted"] = token.was_drafted;
  out["runner_up"] = has_runner_up ? token_json(model, token.runner_up) : Json(nullptr);
  return out;
}

}  // namespace

Json trace_json(const ApiModel& model, const BatchRound& round, std::size_t n_round,
                std::size_t text_start) {
  Json nodes = Json::array();
  for (std::size_t i = 0; i < round.tree.size(); ++i) {
    nodes.push_back(node_json(model, round.tree, node_id(i)));
    if (i == 0 || round.proposals == nullptr) continue;
    const Proposals& proposals = *round.proposals;
    nodes.back()["source"] = proposals.name(proposals.chosen(node_id(i)).source);
  }
  Json path = Json::array();
  for (const NodeId node : round.walk.path) path.push_back(static_cast<std::int32_t>(node));
  Json tokens = Json::array();
  for (const GeneratedToken& token : round.tokens) tokens.push_back(generated_json(model, token));
  return {{"round", n_round},
          {"text_start", text_start},
          {"nodes", nodes},
          {"path", path},
          {"tokens", tokens},
          {"ms",
           {{"draft", 1e3 * round.draft_s},
            {"target", 1e3 * round.target_s},
            {"own", 1e3 * round.own_s}}}};
}

}  // namespace gumbelspec::server
