// Schemas that were asked for before are not compiled again.
#include "apps/structure/schema_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "apps/structure/json_schema.h"
#include "gumbelspec/error.h"

namespace gumbelspec::structure {
namespace {

std::string number_schema(std::size_t i) { return R"({"const": )" + std::to_string(i) + "}"; }

TEST(SchemaCache, CompilesASchemaOnce) {
  SchemaCache cache;
  const auto first = cache.grammar_of(number_schema(1));
  EXPECT_EQ(*first, grammar_of_schema(number_schema(1)));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cache.grammar_of(number_schema(1)), first);
  EXPECT_NE(*cache.grammar_of(number_schema(2)), *first);
  EXPECT_EQ(cache.n_compiled(), 2U);
}

TEST(SchemaCache, ForgetsWhatWasNotAskedForLongest) {
  SchemaCache cache;
  const std::size_t n = SchemaCache::kMaxSchemas;
  for (std::size_t i = 0; i < n; ++i) (void)cache.grammar_of(number_schema(i));
  (void)cache.grammar_of(number_schema(0));
  (void)cache.grammar_of(number_schema(n));  // in the place of 1
  EXPECT_EQ(cache.n_compiled(), n + 1);
  (void)cache.grammar_of(number_schema(0));
  EXPECT_EQ(cache.n_compiled(), n + 1);
  (void)cache.grammar_of(number_schema(1));
  EXPECT_EQ(cache.n_compiled(), n + 2);
}

TEST(SchemaCache, KeepsNoErrors) {
  SchemaCache cache;
  for (int i = 0; i < 2; ++i) EXPECT_THROW((void)cache.grammar_of(R"({"not": {}})"), Error);
  EXPECT_THROW((void)cache.grammar_of(std::string(kMaxBytes + 1, ' ')), Error);
  EXPECT_EQ(cache.n_compiled(), 0U);
}

TEST(SchemaCache, ManyThreadsWaitForOneCompilation) {
  SchemaCache cache;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&cache] { (void)cache.grammar_of(number_schema(7)); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.n_compiled(), 1U);
}

}  // namespace
}  // namespace gumbelspec::structure
