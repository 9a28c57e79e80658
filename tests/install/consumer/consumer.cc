// The example of gumbelspec.h as a program: consumer TARGET.gguf DRAFT.gguf
#include <gumbelspec/gumbelspec.h>

#include <exception>
#include <iostream>

namespace {

void generate(const char* target_path, const char* draft_path) {
  using namespace gumbelspec;
  Pair pair = Pair::load(target_path, draft_path);
  LlamaModel& target = pair.target();

  Session session(target, pair.draft(), {.seed = 7, .max_tokens = 64}, pair.parts());
  Outcome outcome = session.start(target.tokenize("The old house"));
  while (outcome == Outcome::running) {
    outcome = session.step();
    for (const GeneratedToken& t : session.last_tokens()) std::cout << target.piece(t.token);
  }
  std::cout << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: consumer TARGET.gguf DRAFT.gguf\n";
    return 2;
  }
  try {
    generate(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
