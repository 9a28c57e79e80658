// Damages GGUF files where it hurts: knows the fields of a header and puts other values there.
#ifndef GUMBELSPEC_TESTS_LLAMA_GGUF_MUTATOR_H_
#define GUMBELSPEC_TESTS_LLAMA_GGUF_MUTATOR_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gumbelspec::testing {

class GgufMutator {
 public:
  // Requires: the header of a GGUF file of version 3, in this machine's order of bytes; what
  // follows it may be missing.
  // Throws: std::runtime_error if it is not.
  explicit GgufMutator(std::string file);

  struct Mutant {
    std::string file;
    std::string what;  // what was done, for messages
  };
  // The same mutant for the same number, on every machine.
  [[nodiscard]] Mutant mutant(std::uint64_t number) const;

  [[nodiscard]] std::size_t header_end() const { return header_end_; }  // a place in the file

 private:
  enum class Role {
    version,
    count,   // of tensors, pairs
    length,  // of a string
    text,    // its bytes
    type,    // of a value
    value,   // of a number
    array_type,
    array_count,
    n_dims,
    dimension,
    tensor_type,
    offset
  };
  struct Field {
    Role role;
    std::size_t at = 0;
    std::size_t size = 0;
    std::string name;  // of the pair or tensor
  };

  class Reader;
  void replace_text(std::string& file, const Field& field, const std::string& text) const;

  std::string file_;
  std::vector<Field> fields_;
  std::size_t header_end_ = 0;  // the data begin at the next multiple of 32
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_LLAMA_GGUF_MUTATOR_H_
