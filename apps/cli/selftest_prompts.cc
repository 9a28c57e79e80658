#include <array>

#include "apps/cli/selftest_identity.h"

namespace gumbelspec::apps::cli {
namespace {

// Long and short, with names, speech and numbers.
constexpr std::array<std::string_view, 20> kPrompts = {
    "The old house",
    "It was a cold evening in November, and the rain",
    "\"I do not believe a word of it,\" said the captain,",
    "When the train stopped at last,",
    "She opened the letter with trembling hands and read",
    "In the year 1812 there lived in the village",
    "My father was a man of few words.",
    "The two brothers had not spoken for",
    "Far out at sea the ship",
    "\"Where have you been?\" she asked.",
    "There are three things that a traveller in these mountains should know. The first",
    "Mr. Harris looked at his watch",
    "The garden behind the church was full of",
    "Nobody in the town remembered",
    "At the foot of the hill, where the road turns towards the river, stood",
    "He had been walking for hours when",
    "The king ordered that every man",
    "After supper the children",
    "\"Listen,\" said the old woman, \"and I will tell you",
    "I have often thought since then that",
};

}  // namespace

std::span<const std::string_view> selftest_prompts() { return kPrompts; }

}  // namespace gumbelspec::apps::cli
