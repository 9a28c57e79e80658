// What ggml's RPC client sends and what it expects back, version 7.0.0 (llama.cpp v0.5.0).
#ifndef GUMBELSPEC_SRC_LLAMA_RPC_PROTOCOL_H_
#define GUMBELSPEC_SRC_LLAMA_RPC_PROTOCOL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace gumbelspec::internal {

// A request: command (1 byte), size of its data (8), data. An answer: size (8), data.
inline constexpr std::size_t kRpcRequestHead = 9;
inline constexpr std::size_t kRpcAnswerHead = 8;

enum class RpcCommand : std::uint8_t {
  alloc_buffer = 0,
  get_alignment,
  get_max_size,
  buffer_get_base,
  free_buffer,
  buffer_clear,
  set_tensor,
  set_tensor_hash,
  get_tensor,
  copy_tensor,
  graph_compute,
  get_device_memory,
  init_tensor,
  get_alloc_size,
  hello,
  device_count,
  graph_recompute,
  memset_tensor,
};

// The largest request that has an answer; others may be streams of any length.
inline constexpr std::size_t kMostAskingBytes = 8192;

// Shape: data is the request's whole data. Returns: size of the answer's data; nullopt if the
// command has none.
std::optional<std::uint64_t> rpc_answer_size(RpcCommand command,
                                             std::span<const std::uint8_t> data);

// The first bytes of an answer that the client accepts from a server that is not there; zeros
// follow. What it makes of them is never used: whoever asked finds the server lost afterwards.
struct RpcFakeAnswer {
  std::array<std::uint8_t, 32> bytes{};
};
RpcFakeAnswer rpc_fake_answer(RpcCommand command, std::span<const std::uint8_t> data);

// What is wrong with a server's answer to hello; empty if nothing. Requires: rpc_answer_size bytes.
std::string rpc_version_problem(std::span<const std::uint8_t> answer);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_RPC_PROTOCOL_H_
