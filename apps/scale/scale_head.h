// EAGLE-3 heads, scaled with their targets.
//
// A scaled target's residual stream is the small one's with zeros behind it, at every layer that
// the small target had. So the head's first matrix gets its columns for each of the three layers
// where they now stand; the rest is as in scale_model.h: the new dimensions of the head's own
// states are zero, and nothing writes to them. The pair drafts what the small pair drafts, up to
// rounding.
//
// A target with added tokens (--vocab): the head keeps the tokens that it can draft, as published
// heads do, with a list of their ids (d2t), and gets embeddings of zeros for the others, which
// never come.
#ifndef GUMBELSPEC_APPS_SCALE_SCALE_HEAD_H_
#define GUMBELSPEC_APPS_SCALE_SCALE_HEAD_H_

#include "apps/scale/scale_model.h"
#include "apps/scale/source_model.h"

namespace gumbelspec::scale {

// Requires: source.is_head(). Throws: as scale_model.
ScaleResult scale_head(const Source& source, const ScaleOptions& options);

}  // namespace gumbelspec::scale

#endif  // GUMBELSPEC_APPS_SCALE_SCALE_HEAD_H_
