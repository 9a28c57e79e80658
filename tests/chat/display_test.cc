#include "apps/chat/display.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

namespace gumbelspec::chat {
namespace {

std::string shown(const DisplayOptions& options, const std::function<void(Display&)>& show) {
  const std::string path = ::testing::TempDir() + "display_test." + std::to_string(::getpid());
  {
    apps::Output out = apps::Output::file(path);
    Display display(out, options);
    show(display);
    display.finish();
    out.close();
  }
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::filesystem::remove(path);
  return text.str();
}

void think_and_answer(Display& display) {
  display.show("hm", true, false);
  display.show("Yes", false, true);
  display.show(".", false, false);
}

TEST(Display, MarksThoughtsWhereThereAreNoColors) {
  EXPECT_EQ(shown({}, think_and_answer), "[thinking]\nhm\n[/thinking]\nYes.\n");
}

TEST(Display, DimsThoughts) {
  EXPECT_EQ(shown({.has_colors = true}, think_and_answer), "\x1B[2mhm\x1B[0m\n\nYes.\n");
}

TEST(Display, HidesThoughts) {
  EXPECT_EQ(shown({.shows_thoughts = false}, think_and_answer), "Yes.\n");
}

TEST(Display, ColorsWhatWasAcceptedFromTheDraft) {
  EXPECT_EQ(shown({.has_colors = true, .shows_drafts = true},
                  [](Display& display) {
                    display.show("a", false, false);
                    display.show("b", false, true);
                    display.show("c", false, true);
                    display.show("d", false, false);
                  }),
            "a\x1B[32mbc\x1B[0md\n");
}

TEST(Display, EndsALineOnce) {
  EXPECT_EQ(shown({}, [](Display& display) { display.show("a\n", false, false); }), "a\n");
  EXPECT_EQ(shown({}, [](Display&) {}), "");
}

}  // namespace
}  // namespace gumbelspec::chat
