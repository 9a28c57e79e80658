// How models are loaded, in llama.cpp's spelling: types of the cache, positions, adapters, places.
#ifndef GUMBELSPEC_APPS_COMMON_LOAD_OPTIONS_H_
#define GUMBELSPEC_APPS_COMMON_LOAD_OPTIONS_H_

#include "apps/common/arguments.h"
#include "apps/common/model_options.h"

namespace gumbelspec::apps {

// The limits are the library's, unless one line can be said before a model is there.
void add_load_options(Arguments& arguments, ModelOptions& options);

// What follows for the text from options that make the model compute otherwise, one line each on
// standard error: a coarser cache is another distribution, whoever drafts.
void tell_what_follows(const LlamaModelOptions& options);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_LOAD_OPTIONS_H_
