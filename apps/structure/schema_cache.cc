#include "apps/structure/schema_cache.h"

#include <utility>

#include "apps/structure/json_schema.h"

namespace gumbelspec::structure {

std::shared_ptr<const std::string> SchemaCache::find(const std::string& schema) {
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->schema != schema) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return entry->grammar;
  }
  return nullptr;
}

std::shared_ptr<const std::string> SchemaCache::grammar_of(const std::string& schema) {
  check_size(schema, "json_schema");
  if (auto known = find(schema)) return known;
  const std::lock_guard compiles(compiling_);
  if (auto known = find(schema)) return known;  // in the meantime
  auto grammar = std::make_shared<const std::string>(grammar_of_schema(schema));
  const std::lock_guard lock(mutex_);
  ++n_compiled_;
  entries_.push_front({schema, grammar});
  n_bytes_ += entries_.front().n_bytes();
  while (entries_.size() > 1 && (entries_.size() > kMaxSchemas || n_bytes_ > kMaxCacheBytes)) {
    n_bytes_ -= entries_.back().n_bytes();
    entries_.pop_back();
  }
  return grammar;
}

std::size_t SchemaCache::n_compiled() const {
  const std::lock_guard lock(mutex_);
  return n_compiled_;
}

}  // namespace gumbelspec::structure
