#include "apps/cli/tree_dot.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "apps/common/report.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::cli {
namespace {

// Readable on white, in print too: the path is darker, not only of another colour.
constexpr const char* kHeader = R"(  rankdir=LR;
  bgcolor="white";
  pad=0.15;
  nodesep=0.12;
  ranksep=0.45;
  fontname="DejaVu Sans,Helvetica,Arial";
  fontsize=12;
  fontcolor="#404040";
  labelloc=b;
  node [shape=box, style="rounded,filled", fontname="DejaVu Sans,Helvetica,Arial", fontsize=12,
        margin="0.10,0.05", height=0.3, color="#B8C0C8", fillcolor="#F6F7F8",
        fontcolor="#505860"];
  edge [arrowsize=0.6, color="#B8C0C8"];
)";
constexpr const char* kRootStyle = R"(color="#303840", fillcolor="#E2E6EA", fontcolor="#101418")";
constexpr const char* kPathStyle =
    R"(color="#1B7A3D", fillcolor="#D5F0DD", fontcolor="#0B3D1E", penwidth=2)";
constexpr const char* kPathEdge = R"( [color="#1B7A3D", penwidth=2.5])";
constexpr const char* kChoiceStyle =
    R"(style="rounded,filled,dashed", color="#B45309", fillcolor="#FFF7E8", fontcolor="#7A3A05")";
constexpr const char* kChoiceEdge = R"( [style=dashed, color="#B45309", penwidth=1.5])";

// The token's text with spaces to be seen, inside a quoted string of the dot language.
std::string label(const std::string& piece) {
  std::string out;
  for (const char c : visible(piece)) {
    if (c == ' ') {
      out += "\xE2\x90\xA3";  // U+2423, open box
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out.empty() ? "(no text)" : out;
}

std::string value_text(float log_value) {
  const double value = std::exp(static_cast<double>(log_value));
  return value < 0.0005 ? "<0.001" : formatted(value < 0.0995 ? "%.3f" : "%.2f", value);
}

std::string node_name(NodeId node) { return "n" + std::to_string(index(node)); }

}  // namespace

void TreeRecorder::see(std::uint32_t round, const DraftTree& tree, const WalkResult& walk) {
  const bool is_wanted =
      wanted_ ? round == *wanted_ : !snapshot_ || walk.n_accepted() > snapshot_->walk.n_accepted();
  if (is_wanted) snapshot_ = TreeSnapshot{round, tree, walk};
}

std::string tree_dot(const TreeSnapshot& snapshot,
                     const std::function<std::string(TokenId)>& piece) {
  const DraftTree& tree = snapshot.tree;
  const WalkResult& walk = snapshot.walk;
  const auto is_accepted = [&](NodeId node) {
    return std::find(walk.path.begin(), walk.path.end(), node) != walk.path.end();
  };
  std::string out = "digraph draft_tree {\n";
  out += kHeader;
  out += "  label=\"round " + std::to_string(snapshot.round) + ": " +
         std::to_string(tree.n_drafted()) + " tokens drafted, " +
         std::to_string(walk.n_accepted()) + " accepted; dashed: the target's own token\";\n";
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const NodeId node = node_id(i);
    const bool is_root = node == kRoot;
    out += "  " + node_name(node) + " [label=\"" + label(piece(tree.token(node)));
    out += is_root ? "\", " : "\\n" + value_text(tree.log_value(node)) + "\"";
    if (is_root) out += kRootStyle;
    if (!is_root && is_accepted(node)) out += std::string(", ") + kPathStyle;
    out += "];\n";
    if (is_root) continue;
    out += "  " + node_name(tree.parent(node)) + " -> " + node_name(node);
    if (is_accepted(node)) out += kPathEdge;
    out += ";\n";
  }
  if (!walk.path.empty()) {
    out += "  choice [label=\"" + label(piece(walk.choices.back().token)) + "\", " + kChoiceStyle +
           "];\n";
    out += "  " + node_name(walk.path.back()) + " -> choice" + kChoiceEdge + ";\n";
  }
  out += "}\n";
  return out;
}

}  // namespace gumbelspec::apps::cli
