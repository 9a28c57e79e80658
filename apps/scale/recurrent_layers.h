// Makes a hybrid model of one that has attention only.
#ifndef GUMBELSPEC_APPS_SCALE_RECURRENT_LAYERS_H_
#define GUMBELSPEC_APPS_SCALE_RECURRENT_LAYERS_H_

#include "apps/scale/scale_model.h"

namespace gumbelspec::scale {

// Writes the llama model options.in as one of Granite 4's hybrid architecture ("granitehybrid")
// with options.recurrent_layers Mamba-2 layers behind those it has: their widths are those that
// such models have (twice the residual stream, heads of 64, states of 128 numbers, a convolution of
// 4), their weights random. They and their feed-forward units meet zero columns (ssm_out,
// ffn_down), so the function, and the acceptance of drafts, stay those of the original bit for bit,
// while a pass reads, updates and keeps the states of a hybrid model.
// Throws: WriteError; std::runtime_error for everything else that is wrong, one line.
ScaleResult add_recurrent_layers(const ScaleOptions& options);

}  // namespace gumbelspec::scale

#endif  // GUMBELSPEC_APPS_SCALE_RECURRENT_LAYERS_H_
