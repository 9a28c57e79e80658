// The prompts of a benchmark.
#ifndef GUMBELSPEC_APPS_BENCH_PROMPTS_H_
#define GUMBELSPEC_APPS_BENCH_PROMPTS_H_

#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::apps::bench {

// One JSON object per line: {"prompt": "..."}, or {"turns": ["...", ...]} as in Spec-Bench's
// question.jsonl, of which the first turn is taken. Empty lines are skipped.
// name: the file in messages. Throws: Error{invalid_prompt} with the line's number.
[[nodiscard]] std::vector<std::string> parse_prompts(std::string_view text,
                                                     const std::string& name);

// The prompts of a file; "-" is standard input, empty the openings that come with the program.
// Throws: Error{file_not_found, invalid_prompt}; Stopped.
[[nodiscard]] std::vector<std::string> read_prompts(const std::string& path);

// A file that is installed with the program: ../share/gumbelspec/ from its own folder. Empty if it
// is not there.
[[nodiscard]] std::string shared_file(std::string_view name);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_PROMPTS_H_
