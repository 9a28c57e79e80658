#include "tests/llama/gguf_mutator.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <utility>

#include "gguf.h"

namespace gumbelspec::testing {
namespace {

constexpr std::size_t kAlignment = 32;

// SplitMix64: the same numbers with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }

 private:
  std::uint64_t state_;
};

std::size_t aligned(std::size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

std::size_t size_of(std::uint32_t type) {
  switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL:
      return 1;
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_INT16:
      return 2;
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32:
      return 4;
    default:
      return 8;
  }
}

// Numbers at limits of what programs compute with them.
std::uint64_t odd_number(Random& random) {
  static constexpr std::uint64_t kNumbers[] = {0,
                                               1,
                                               2,
                                               3,
                                               7,
                                               31,
                                               33,
                                               64,
                                               255,
                                               256,
                                               511,
                                               512,
                                               513,
                                               1000,
                                               65535,
                                               65536,
                                               100000,
                                               0x7FFFFFFF,
                                               0x80000000,
                                               0xFFFFFFFF,
                                               0x100000000,
                                               1ULL << 40,
                                               1ULL << 62,
                                               std::numeric_limits<std::uint64_t>::max() / 2,
                                               1ULL << 63,
                                               ~0ULL,
                                               ~0ULL - 7,
                                               0x3F800000 /* 1.0F */,
                                               0x7FC00000 /* NaN */,
                                               0xFF800000 /* -inf */,
                                               0x00000001 /* the least float */};
  return kNumbers[random.below(std::size(kNumbers))];
}

std::string odd_text(Random& random) {
  static const std::string kTexts[] = {"none",
                                       "no_vocab",
                                       "llama",
                                       "gpt2",
                                       "bert",
                                       "t5",
                                       "rwkv",
                                       "plamo2",
                                       "nonsense",
                                       "",
                                       "falcon",
                                       "qwen2",
                                       "gemma",
                                       "mamba",
                                       "clip",
                                       "default",
                                       "\xFF\xFE",
                                       "a\nb",
                                       std::string(300, 'x'),
                                       std::string("a\0b", 3)};
  return kTexts[random.below(std::size(kTexts))];
}

void put(std::string& file, std::size_t at, std::uint64_t value, std::size_t size) {
  std::memcpy(file.data() + at, &value, size);
}

std::uint64_t get(const std::string& file, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  std::memcpy(&value, file.data() + at, size);
  return value;
}

}  // namespace

// Walks over the header and notes its fields.
class GgufMutator::Reader {
 public:
  Reader(const std::string& file, std::vector<Field>& fields) : file_(file), fields_(fields) {}

  std::size_t read() {
    if (file_.substr(0, 4) != "GGUF") throw std::runtime_error("no GGUF file");
    at_ = 4;
    (void)number(Role::version, 4);
    const std::uint64_t n_tensors = number(Role::count, 8);
    const std::uint64_t n_pairs = number(Role::count, 8);
    for (std::uint64_t i = 0; i < n_pairs; ++i) pair();
    for (std::uint64_t i = 0; i < n_tensors; ++i) tensor();
    return at_;
  }

 private:
  std::uint64_t number(Role role, std::size_t size) {
    if (size > file_.size() - at_) throw std::runtime_error("the file ends in its header");
    fields_.push_back({role, at_, size, name_});
    at_ += size;
    return get(file_, at_ - size, size);
  }
  std::string text() {
    const auto size = static_cast<std::size_t>(number(Role::length, 8));
    // Not at_ + size, which may wrap around.
    if (size > file_.size() - at_) throw std::runtime_error("the file ends in a text");
    fields_.push_back({Role::text, at_, size, name_});
    at_ += size;
    return file_.substr(at_ - size, size);
  }
  void value(std::uint32_t type) {
    if (type == GGUF_TYPE_STRING) {
      (void)text();
    } else {
      (void)number(Role::value, size_of(type));
    }
  }
  void pair() {
    name_ = "";
    name_ = text();
    const auto type = static_cast<std::uint32_t>(number(Role::type, 4));
    if (type != GGUF_TYPE_ARRAY) return value(type);
    const auto of = static_cast<std::uint32_t>(number(Role::array_type, 4));
    const std::uint64_t n = number(Role::array_count, 8);
    for (std::uint64_t i = 0; i < n; ++i) value(of);
  }
  void tensor() {
    name_ = "";
    name_ = text();
    const std::uint64_t n_dims = number(Role::n_dims, 4);
    for (std::uint64_t i = 0; i < n_dims; ++i) (void)number(Role::dimension, 8);
    (void)number(Role::tensor_type, 4);
    (void)number(Role::offset, 8);
  }

  const std::string& file_;
  std::vector<Field>& fields_;
  std::size_t at_ = 0;
  std::string name_;
};

GgufMutator::GgufMutator(std::string file) : file_(std::move(file)) {
  header_end_ = Reader(file_, fields_).read();
  // The elements of large arrays are many and alike; of each array some are enough.
  std::vector<Field> kept;
  std::size_t n_alike = 0;
  for (const Field& field : fields_) {
    const bool is_alike = !kept.empty() && !field.name.empty() && kept.back().name == field.name;
    n_alike = is_alike ? n_alike + 1 : 0;
    if (n_alike < 16) kept.push_back(field);
  }
  fields_ = std::move(kept);
}

// The data keep their distance from the beginning of the data.
void GgufMutator::replace_text(std::string& file, const Field& field,
                               const std::string& text) const {
  const std::string data = file_.substr(std::min(file_.size(), aligned(header_end_)));
  std::string header = file_.substr(0, header_end_);
  header.replace(field.at, field.size, text);
  put(header, field.at - 8, text.size(), 8);
  header.resize(aligned(header.size()), '\0');
  file = header + data;
}

GgufMutator::Mutant GgufMutator::mutant(std::uint64_t number) const {
  Random random(number);
  Mutant out{file_, std::to_string(number) + ":"};
  const std::size_t kind = random.below(12);
  if (kind == 0) {
    const std::size_t n =
        random.below(2) == 0 ? random.below(header_end_ + 40) : random.below(file_.size());
    out.file.resize(n);
    out.what += " cut to " + std::to_string(n);
    return out;
  }
  if (kind == 1) {
    for (std::size_t i = 1 + random.below(8); i > 0; --i) {
      const std::size_t at = random.below(header_end_);
      out.file[at] = static_cast<char>(random.next());
      out.what += " byte " + std::to_string(at);
    }
    return out;
  }
  for (std::size_t i = random.below(4) == 0 ? 2 : 1; i > 0; --i) {
    const Field& field = fields_[random.below(fields_.size())];
    out.what += " " + std::to_string(static_cast<int>(field.role)) + " of '" + field.name + "'";
    if (field.role == Role::text && field.at >= 8) {
      replace_text(out.file, field, odd_text(random));
      return out;
    }
    const std::uint64_t was = get(file_, field.at, field.size);
    const std::uint64_t near[] = {was + 1, was - 1, was * 2, was / 2, was + 32, ~was};
    const bool is_type = field.role == Role::type || field.role == Role::array_type ||
                         field.role == Role::tensor_type;
    std::uint64_t now = odd_number(random);
    if (is_type) {
      now = random.below(45);
    } else if (random.below(2) == 0) {
      now = near[random.below(std::size(near))];
    }
    put(out.file, field.at, now, field.size);
    out.what += " = " + std::to_string(now);
  }
  return out;
}

}  // namespace gumbelspec::testing
