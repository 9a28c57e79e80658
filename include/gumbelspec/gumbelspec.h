// Everything of the library. The example below is compiled and run by the tests
// (tests/install/consumer).
//
//   using namespace gumbelspec;
//   auto target = LlamaModel::load({.path = "target.gguf"});
//   auto draft = LlamaModel::load({.path = "draft.gguf"});
//   LlamaModel::require_same_vocabulary(*target, *draft);
//
//   Session session(*target, draft.get(), {.seed = 7, .max_tokens = 64});
//   Outcome outcome = session.start(target->tokenize("The old house"));
//   while (outcome == Outcome::running) {
//     outcome = session.step();
//     for (const GeneratedToken& t : session.last_tokens()) std::cout << target->piece(t.token);
//   }
#ifndef GUMBELSPEC_GUMBELSPEC_H_
#define GUMBELSPEC_GUMBELSPEC_H_

#include "gumbelspec/draft_tree.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/error.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/llama_grammar.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/method.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/planner.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/session.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/types.h"
#include "gumbelspec/walk.h"

#endif  // GUMBELSPEC_GUMBELSPEC_H_
