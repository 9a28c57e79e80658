// Everything of the library. The example below is compiled and run by the tests
// (tests/install/consumer).
//
//   using namespace gumbelspec;
//   Pair pair = Pair::load("target.gguf", "draft.gguf");
//   LlamaModel& target = pair.target();
//
//   Session session(target, pair.draft(), {.seed = 7, .max_tokens = 64}, pair.parts());
//   Outcome outcome = session.start(target.tokenize("The old house"));
//   while (outcome == Outcome::running) {
//     outcome = session.step();
//     for (const GeneratedToken& t : session.last_tokens()) std::cout << target.piece(t.token);
//   }
#ifndef GUMBELSPEC_GUMBELSPEC_H_
#define GUMBELSPEC_GUMBELSPEC_H_

#include "gumbelspec/batch.h"
#include "gumbelspec/calibration_store.h"
#include "gumbelspec/costs.h"
#include "gumbelspec/draft_reader.h"
#include "gumbelspec/draft_sources.h"
#include "gumbelspec/draft_tree.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/dry_breakers.h"
#include "gumbelspec/error.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/llama_embedder.h"
#include "gumbelspec/llama_grammar.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/method.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/noise_table.h"
#include "gumbelspec/pair.h"
#include "gumbelspec/proposals.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/session.h"
#include "gumbelspec/simd.h"
#include "gumbelspec/text_options.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/translated_model.h"
#include "gumbelspec/types.h"
#include "gumbelspec/verifier.h"
#include "gumbelspec/vocabularies.h"
#include "gumbelspec/walk.h"

#endif  // GUMBELSPEC_GUMBELSPEC_H_
