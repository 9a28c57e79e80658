/* gumbelspec for C: a target and its draft, texts one by one or many at once, token for token those
 * of the target alone. C89; nothing of the C++ library is seen through it.
 *
 *     gumbelspec_pair* pair;
 *     gumbelspec_session* session;
 *     const gumbelspec_round* round;
 *     int tokens[64];
 *     size_t n;
 *
 *     if (gumbelspec_pair_load("target.gguf", "draft.gguf", NULL, NULL, NULL, &pair)) die();
 *     if (gumbelspec_tokenize(pair, "The old house", 13, 0, tokens, 64, &n)) die();
 *     if (gumbelspec_session_new(pair, "{\"seed\": 7, \"max_tokens\": 64}", &session)) die();
 *     if (gumbelspec_session_start(session, tokens, n, &round)) die();
 *     while (round->outcome == GUMBELSPEC_RUNNING) {
 *       if (gumbelspec_session_step(session, &round)) die();
 *       fwrite(round->text, 1, round->n_text, stdout);
 *     }
 *
 * Errors. Every function that can fail returns a gumbelspec_status, GUMBELSPEC_OK (0) or what went
 * wrong; gumbelspec_last_error() then has one line with the value, the limit and the remedy. No
 * C++ exception leaves the library, and it neither prints nor ends the process. On an error the
 * outputs are not touched, unless a function says otherwise.
 *
 * Options are JSON objects in UTF-8, or NULL: names, limits and meaning are those of the server's
 * requests (docs/server.md), and unknown ones are refused. docs/c-api.md has the list.
 *
 * Threads. Different pairs may be used by different threads at once. What belongs to one pair is
 * used by one thread at a time, except where a function says otherwise.
 *
 * Lifetime. Sessions and batches keep their pair alive, whatever is freed first. What a function
 * hands out as a pointer to const belongs to the object that it came from, and lives until the next
 * call with that object.
 *
 * ABI. Within one GUMBELSPEC_ABI functions and structs stay as they are, except that
 * gumbelspec_round and gumbelspec_event, which the library alone makes, may grow at their ends. The
 * shared library's name has the number: libgumbelspec_c.so.1. */
#ifndef GUMBELSPEC_C_H_
#define GUMBELSPEC_C_H_

#include <stddef.h>

#if defined(__GNUC__)
#define GUMBELSPEC_API __attribute__((visibility("default")))
#else
#define GUMBELSPEC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define GUMBELSPEC_ABI 1

/* The library's own; differs from GUMBELSPEC_ABI where a program was compiled for another one. */
GUMBELSPEC_API int gumbelspec_abi(void);
/* "0.1.0". */
GUMBELSPEC_API const char* gumbelspec_version(void);

typedef enum gumbelspec_status {
  GUMBELSPEC_OK = 0,
  GUMBELSPEC_INVALID_ARGUMENT = 1,    /* a null pointer, a flag or an id that there is not */
  GUMBELSPEC_INVALID_OPTION = 2,      /* an option that is unknown or outside its limits */
  GUMBELSPEC_FILE_NOT_FOUND = 3,      /* a model file or a library that is not there */
  GUMBELSPEC_INVALID_MODEL = 4,       /* not a GGUF file, cut off, or one that cannot decode */
  GUMBELSPEC_VOCABULARY_MISMATCH = 5, /* target and draft do not share a vocabulary */
  GUMBELSPEC_INVALID_PROMPT = 6,      /* empty, not UTF-8, or a token outside the vocabulary */
  GUMBELSPEC_PROMPT_TOO_LONG = 7,     /* the prompt does not fit into the context */
  GUMBELSPEC_OUT_OF_MEMORY = 8,
  GUMBELSPEC_EVALUATION_FAILED = 9, /* a model pass failed */
  GUMBELSPEC_NO_TOKEN_ALLOWED = 10, /* a grammar or a bias forbids every token */
  GUMBELSPEC_PEER_LOST = 11,        /* an RPC server cannot be reached, or went away */
  GUMBELSPEC_TOO_SMALL = 12,        /* a buffer of the caller's; the size needed is told */
  GUMBELSPEC_WRONG_STATE = 13,      /* a step of a text that has not begun, or has ended */
  GUMBELSPEC_STOPPED = 14,          /* the caller's progress function stopped the loading */
  GUMBELSPEC_INTERNAL_ERROR = 15    /* a fault of the library; please report it */
} gumbelspec_status;

/* About the last call of this thread that failed; "" before the first. Never NULL.
 * Lifetime: until the next call of this thread that fails. */
GUMBELSPEC_API const char* gumbelspec_last_error(void);

/* ---- models ---- */

/* A target, its draft if there is one, and what is known about both. */
typedef struct gumbelspec_pair gumbelspec_pair;

/* Called while a model is loaded, with values in [0, 1]; 0 stops the loading. */
typedef int (*gumbelspec_progress)(float done, void* user);

/* target, draft: GGUF files; draft may be NULL. options: how they are loaded, e.g.
 * "{\"n_context\": 4096, \"n_sequences\": 8}"; may be NULL. progress may be NULL. */
GUMBELSPEC_API gumbelspec_status gumbelspec_pair_load(const char* target, const char* draft,
                                                      const char* options,
                                                      gumbelspec_progress progress, void* user,
                                                      gumbelspec_pair** out);
/* NULL is allowed here and in the other functions of this kind. */
GUMBELSPEC_API void gumbelspec_pair_free(gumbelspec_pair* pair);

/* What it is: a JSON object with n_vocab, n_context, n_sequences, has_draft, target, draft (one
 * line about each), bos, eos, same_seed (whether a seed gives the same text with every method) and
 * why (if not). */
GUMBELSPEC_API gumbelspec_status gumbelspec_pair_info(const gumbelspec_pair* pair,
                                                      const char** out);

/* ---- tokens ---- */

#define GUMBELSPEC_NO_SPECIAL 1   /* without the tokens that begin or end a text */
#define GUMBELSPEC_READ_CONTROL 2 /* "<|im_end|>" is that token, not mere text */

/* n_bytes of UTF-8 to tokens. flags: a sum of the above. *n becomes the number of tokens, also
 * where `capacity` is smaller (GUMBELSPEC_TOO_SMALL; then nothing is written).
 * Shape: tokens [capacity]; NULL if capacity is 0. Threads: any number at once. */
GUMBELSPEC_API gumbelspec_status gumbelspec_tokenize(const gumbelspec_pair* pair, const char* text,
                                                     size_t n_bytes, int flags, int* tokens,
                                                     size_t capacity, size_t* n);
/* The bytes of tokens, which may begin or end inside a character; control tokens have none. No zero
 * is added. *n as above. Shape: text [capacity]. Threads: any number at once. */
GUMBELSPEC_API gumbelspec_status gumbelspec_detokenize(const gumbelspec_pair* pair,
                                                       const int* tokens, size_t n_tokens,
                                                       char* text, size_t capacity, size_t* n);
/* *out becomes 1 if the token ends a text, else 0. */
GUMBELSPEC_API gumbelspec_status gumbelspec_is_end(const gumbelspec_pair* pair, int token,
                                                   int* out);
/* A conversation to a prompt's tokens, by the model's chat template. chat: a JSON object as in
 * POST /v1/chat/completions, of it messages, chat_template_kwargs, add_generation_prompt and
 * continue_final_message: "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}". Texts of
 * control tokens in the messages are mere text. tokens, capacity, n: as above. */
GUMBELSPEC_API gumbelspec_status gumbelspec_chat_tokens(const gumbelspec_pair* pair,
                                                        const char* chat, int* tokens,
                                                        size_t capacity, size_t* n);

/* ---- rounds ---- */

typedef enum gumbelspec_outcome {
  GUMBELSPEC_RUNNING = 0,
  GUMBELSPEC_EOS = 1,          /* the model ended the text */
  GUMBELSPEC_LENGTH = 2,       /* max_tokens reached */
  GUMBELSPEC_CONTEXT_FULL = 3, /* the text fills the context */
  GUMBELSPEC_CANCELLED = 4,
  GUMBELSPEC_STOP = 5 /* one of the texts in "stop" came */
} gumbelspec_outcome;

typedef struct gumbelspec_token {
  int token;
  int runner_up;   /* the token that would have come next best */
  float margin;    /* by how much, in nats; infinity where there is none */
  int depth;       /* of its parent in the draft tree; 0: the root */
  int was_drafted; /* 1: accepted from the draft; 0: chosen by the target alone */
} gumbelspec_token;

typedef struct gumbelspec_logprob {
  int token;
  float logprob; /* nats; the model's own, before temperature, penalties and truncation */
} gumbelspec_logprob;

/* A node of the round's draft tree. Node 0 is the root, the last token before the round. */
typedef struct gumbelspec_node {
  int token;
  int parent;      /* index of a node before it; the root's is -1 */
  int depth;       /* the root's is 0 */
  float log_value; /* log of the estimated chance that the text goes this way */
  int is_accepted; /* 1: the text did; the root's is 1 */
} gumbelspec_node;

/* What a round appended to a text. */
typedef struct gumbelspec_round {
  gumbelspec_outcome outcome;
  const gumbelspec_token* tokens;
  size_t n_tokens;
  /* What of the text can be given out since the last round: whole characters of UTF-8, and nothing
   * that may turn out to be part of a stop text. n_text bytes and a zero behind them. */
  const char* text;
  size_t n_text;
  /* Where "logprobs" asks for them, else NULL. Shape: logprobs [n_tokens], top_logprobs
   * [n_tokens, n_top], likeliest first. */
  const gumbelspec_logprob* logprobs;
  const gumbelspec_logprob* top_logprobs;
  size_t n_top;
  const gumbelspec_node* nodes;
  size_t n_nodes; /* 0: there was no round, as after gumbelspec_session_start() */
} gumbelspec_round;

/* ---- one text ---- */

typedef struct gumbelspec_session gumbelspec_session;

/* A session takes one of the pair's sequences (option n_sequences of gumbelspec_pair_load()) until
 * it is freed. The first one of a pair may measure for a second or two what passes cost. */
GUMBELSPEC_API gumbelspec_status gumbelspec_session_new(gumbelspec_pair* pair, const char* options,
                                                        gumbelspec_session** out);
GUMBELSPEC_API void gumbelspec_session_free(gumbelspec_session* session);

/* Begins a text: reads the prompt. Again as often as one likes, also after an error, and whether
 * or not the text before has ended. Shape: prompt [n]. round may be NULL. */
GUMBELSPEC_API gumbelspec_status gumbelspec_session_start(gumbelspec_session* session,
                                                          const int* prompt, size_t n,
                                                          const gumbelspec_round** round);
/* One round: the draft proposes, the target decides, one token or more are appended. */
GUMBELSPEC_API gumbelspec_status gumbelspec_session_step(gumbelspec_session* session,
                                                         const gumbelspec_round** round);
/* The call that is running, or the next one, ends the text with GUMBELSPEC_CANCELLED, on a CPU in
 * the middle of a pass. Threads: any, also during a call; it may be called from a signal handler.
 */
GUMBELSPEC_API void gumbelspec_session_cancel(gumbelspec_session* session);

/* The text so far: a JSON object with seed, method, guarantee, stop_reason and stats. */
GUMBELSPEC_API gumbelspec_status gumbelspec_session_report(gumbelspec_session* session,
                                                           const char** out);

/* ---- many texts at once ---- */

typedef struct gumbelspec_batch gumbelspec_batch;

/* What happened to a text of a batch in a step. */
typedef struct gumbelspec_event {
  size_t id; /* of the text */
  /* Never NULL. The last one of a text has another outcome than GUMBELSPEC_RUNNING, no tokens, and
   * the rest of the text that stop texts had held back. */
  const gumbelspec_round* round;
  gumbelspec_status status; /* of a text that an error ended; else GUMBELSPEC_OK */
  const char* error;        /* its message; "" */
  const char* report;       /* of a text that has ended, as gumbelspec_session_report(); else "" */
} gumbelspec_event;

/* A batch has all sequences of its pair for itself: no sessions beside it. options: max_active,
 * prompt_tokens_per_round, reuses_prefixes, max_gap_ms; may be NULL. */
GUMBELSPEC_API gumbelspec_status gumbelspec_batch_new(gumbelspec_pair* pair, const char* options,
                                                      gumbelspec_batch** out);
/* Texts that are left are dropped. */
GUMBELSPEC_API void gumbelspec_batch_free(gumbelspec_batch* batch);
/* A text that joins at the next step, or as soon as there is room. options: as of
 * gumbelspec_session_new(). Shape: prompt [n]. *id: never used twice in this batch. */
GUMBELSPEC_API gumbelspec_status gumbelspec_batch_add(gumbelspec_batch* batch, const int* prompt,
                                                      size_t n, const char* options, size_t* id);
/* Ends a text; the next step has its event, with GUMBELSPEC_CANCELLED. Ids of texts that have ended
 * are allowed. */
GUMBELSPEC_API gumbelspec_status gumbelspec_batch_cancel(gumbelspec_batch* batch, size_t id);
/* A part of the waiting prompts, then one round of all texts that have read theirs. *n_events: what
 * gumbelspec_batch_event() has until the next step. *goes_on becomes 0 when nothing is left to do.
 * An error of one text is an event; the batch goes on. */
GUMBELSPEC_API gumbelspec_status gumbelspec_batch_step(gumbelspec_batch* batch, size_t* n_events,
                                                       int* goes_on);
/* Event i of the last step, in the order in which things happened. Lifetime: until the next step.
 */
GUMBELSPEC_API gumbelspec_status gumbelspec_batch_event(const gumbelspec_batch* batch, size_t i,
                                                        const gumbelspec_event** out);

#ifdef __cplusplus
}
#endif

#endif /* GUMBELSPEC_C_H_ */
