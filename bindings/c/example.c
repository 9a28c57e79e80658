/* A text, a batch of two and a chat with the C API.
 *
 *     cc -std=c89 example.c $(pkg-config --cflags --libs gumbelspec-c) -o example
 *     ./example target.gguf [draft.gguf]
 *
 * The first line that it prints is the text of seed 7 behind "The old house"; with the demo pair it
 * is that of `gumbelspec generate -p "The old house" -n 32 --seed 7`. */
#include <gumbelspec_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TOKENS 512

static void check(gumbelspec_status status) {
  if (status == GUMBELSPEC_OK) return;
  fprintf(stderr, "example: error %d: %s\n", (int)status, gumbelspec_last_error());
  exit(1);
}

static size_t tokens_of(const gumbelspec_pair* pair, const char* text, int* tokens) {
  size_t n = 0;
  check(gumbelspec_tokenize(pair, text, strlen(text), 0, tokens, MOST_TOKENS, &n));
  return n;
}

static void one_text(gumbelspec_pair* pair) {
  gumbelspec_session* session;
  const gumbelspec_round* round;
  int tokens[MOST_TOKENS];
  const size_t n = tokens_of(pair, "The old house", tokens);
  size_t n_drafted = 0;

  check(gumbelspec_session_new(
      pair, "{\"seed\": 7, \"max_tokens\": 32, \"method\": \"gumbel-beam:width=2,length=3\"}",
      &session));
  check(gumbelspec_session_start(session, tokens, n, &round));
  printf("The old house");
  while (round->outcome == GUMBELSPEC_RUNNING) {
    check(gumbelspec_session_step(session, &round));
    fwrite(round->text, 1, round->n_text, stdout);
    if (round->n_nodes > 0) n_drafted += round->n_nodes - 1;
  }
  printf("\n%lu nodes were drafted\n", (unsigned long)n_drafted);
  gumbelspec_session_free(session);
}

static void two_at_once(gumbelspec_pair* pair) {
  gumbelspec_batch* batch;
  const gumbelspec_event* event;
  int tokens[MOST_TOKENS];
  const size_t n = tokens_of(pair, "She said", tokens);
  size_t first, second, n_events, i;
  int goes_on = 1;

  check(gumbelspec_batch_new(pair, NULL, &batch));
  check(gumbelspec_batch_add(batch, tokens, n, "{\"seed\": 1, \"max_tokens\": 8}", &first));
  check(gumbelspec_batch_add(batch, tokens, n, "{\"seed\": 2, \"max_tokens\": 8}", &second));
  while (goes_on) {
    check(gumbelspec_batch_step(batch, &n_events, &goes_on));
    for (i = 0; i < n_events; ++i) {
      check(gumbelspec_batch_event(batch, i, &event));
      check(event->status);
      if (event->round->outcome == GUMBELSPEC_RUNNING) continue;
      printf("text %d ended: %s\n", event->id == first ? 1 : 2, event->report);
    }
  }
  gumbelspec_batch_free(batch);
}

static void chat(gumbelspec_pair* pair) {
  gumbelspec_session* session;
  const gumbelspec_round* round;
  int tokens[MOST_TOKENS];
  size_t n;

  check(gumbelspec_chat_tokens(
      pair, "{\"messages\": [{\"role\": \"user\", \"content\": \"Who lives there?\"}]}", tokens,
      MOST_TOKENS, &n));
  check(gumbelspec_session_new(
      pair, "{\"seed\": 3, \"max_tokens\": 16, \"temperature\": 0.7, \"top_p\": 0.95}", &session));
  check(gumbelspec_session_start(session, tokens, n, &round));
  while (round->outcome == GUMBELSPEC_RUNNING) {
    check(gumbelspec_session_step(session, &round));
    fwrite(round->text, 1, round->n_text, stdout);
  }
  printf("\n");
  gumbelspec_session_free(session);
}

int main(int argc, char** argv) {
  gumbelspec_pair* pair;
  const char* info;

  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: example TARGET.gguf [DRAFT.gguf]\n");
    return 2;
  }
  if (gumbelspec_abi() != GUMBELSPEC_ABI) {
    fprintf(stderr, "example: the library is of another ABI\n");
    return 1;
  }
  check(gumbelspec_pair_load(argv[1], argc == 3 ? argv[2] : NULL,
                             "{\"n_context\": 512, \"n_sequences\": 2}", NULL, NULL, &pair));
  one_text(pair);
  two_at_once(pair);
  chat(pair);
  check(gumbelspec_pair_info(pair, &info));
  printf("%s\n", info);
  gumbelspec_pair_free(pair);
  return 0;
}
