// The schemas that were asked for last, with their grammars: most requests bring one of a few.
#ifndef GUMBELSPEC_APPS_STRUCTURE_SCHEMA_CACHE_H_
#define GUMBELSPEC_APPS_STRUCTURE_SCHEMA_CACHE_H_

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>

namespace gumbelspec::structure {

// Threads: any number at once. One schema is compiled at a time, so that many that take long leave
// the processor to those who decode; what is known does not wait for them.
class SchemaCache {
 public:
  static constexpr std::size_t kMaxSchemas = 32;
  // Of schemas and grammars together; the last one stays, whatever its size.
  static constexpr std::size_t kMaxCacheBytes = std::size_t{8} << 20U;

  // Returns: not null. Throws: as grammar_of_schema(), every time anew.
  [[nodiscard]] std::shared_ptr<const std::string> grammar_of(const std::string& schema);

  [[nodiscard]] std::size_t n_compiled() const;  // since it was made

 private:
  struct Entry {
    std::string schema;
    std::shared_ptr<const std::string> grammar;
    [[nodiscard]] std::size_t n_bytes() const { return schema.size() + grammar->size(); }
  };
  [[nodiscard]] std::shared_ptr<const std::string> find(const std::string& schema);

  std::mutex compiling_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the most recently used first
  std::size_t n_bytes_ = 0;
  std::size_t n_compiled_ = 0;
};

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_SCHEMA_CACHE_H_
