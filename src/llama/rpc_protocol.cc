#include "src/llama/rpc_protocol.h"

#include <cstring>

#include "ggml-rpc.h"
#include "ggml.h"

namespace gumbelspec::internal {
namespace {

// The client aborts the process over what it does not understand, so this file has to follow it.
static_assert(RPC_PROTO_MAJOR_VERSION == 7 && RPC_PROTO_MINOR_VERSION == 0,
              "another RPC protocol: compare this file with ggml/src/ggml-rpc/ggml-rpc.cpp");
static_assert(GGML_MAX_DIMS == 4 && GGML_MAX_SRC == 10 && GGML_MAX_OP_PARAMS == 64 &&
              GGML_MAX_NAME == 64);

constexpr std::size_t kHelloBytes = 4 + 24;
// Where a request for a tensor's size has what that size depends on: after the device (4 bytes)
// comes the tensor: id (8), type (4), buffer (8), ne (4 x 4), nb (4 x 4), ...
constexpr std::size_t kTypeAt = 4 + 8;
constexpr std::size_t kShapeAt = kTypeAt + 4 + 8;
constexpr std::size_t kStrideAt = kShapeAt + 16;

// An address that looks like one: neither null nor badly aligned.
constexpr std::uint64_t kFakeAddress = std::uint64_t{1} << 40U;
constexpr std::uint64_t kFakeMemory = std::uint64_t{1} << 30U;

template <class Number>
Number number_at(std::span<const std::uint8_t> data, std::size_t at) {
  Number value{};
  if (at + sizeof value <= data.size()) std::memcpy(&value, data.data() + at, sizeof value);
  return value;
}

// ggml_nbytes() of the tensor in the request.
std::uint64_t tensor_bytes(std::span<const std::uint8_t> data) {
  const auto type = number_at<std::uint32_t>(data, kTypeAt);
  if (type >= GGML_TYPE_COUNT) return 0;
  const auto block = static_cast<std::uint64_t>(ggml_blck_size(static_cast<ggml_type>(type)));
  std::uint64_t bytes = ggml_type_size(static_cast<ggml_type>(type));
  for (std::size_t i = 0; i < GGML_MAX_DIMS; ++i) {
    const std::uint64_t n = number_at<std::uint32_t>(data, kShapeAt + 4 * i);
    const std::uint64_t stride = number_at<std::uint32_t>(data, kStrideAt + 4 * i);
    if (n == 0) return 0;
    if (i == 0 && block > 1) {
      bytes = n * stride / block;
    } else {
      bytes += (n - 1) * stride;
    }
  }
  return bytes;
}

}  // namespace

std::optional<std::uint64_t> rpc_answer_size(RpcCommand command,
                                             std::span<const std::uint8_t> data) {
  switch (command) {
    case RpcCommand::hello:
      return kHelloBytes;
    case RpcCommand::device_count:
      return 4;
    case RpcCommand::alloc_buffer:
    case RpcCommand::get_device_memory:
      return 16;
    case RpcCommand::get_alignment:
    case RpcCommand::get_max_size:
    case RpcCommand::buffer_get_base:
    case RpcCommand::get_alloc_size:
      return 8;
    case RpcCommand::set_tensor_hash:
    case RpcCommand::copy_tensor:
      return 1;
    case RpcCommand::get_tensor:
      // Its last field is how many bytes are wanted.
      return data.size() < 8 ? 0 : number_at<std::uint64_t>(data, data.size() - 8);
    default:
      return std::nullopt;
  }
}

RpcFakeAnswer rpc_fake_answer(RpcCommand command, std::span<const std::uint8_t> data) {
  RpcFakeAnswer answer;
  const auto put = [&](std::size_t at, std::uint64_t value) {
    std::memcpy(answer.bytes.data() + at, &value, sizeof value);
  };
  switch (command) {
    case RpcCommand::hello:
      answer.bytes[0] = RPC_PROTO_MAJOR_VERSION;
      answer.bytes[1] = RPC_PROTO_MINOR_VERSION;
      answer.bytes[2] = RPC_PROTO_PATCH_VERSION;
      break;
    case RpcCommand::alloc_buffer:
      put(0, kFakeAddress);
      put(8, number_at<std::uint64_t>(data, 4));  // after the device: as much as was wanted
      break;
    case RpcCommand::buffer_get_base:
      put(0, kFakeAddress);
      break;
    case RpcCommand::get_device_memory:
      put(0, kFakeMemory);
      put(8, kFakeMemory);
      break;
    case RpcCommand::get_alignment:
      put(0, 128);
      break;
    case RpcCommand::get_max_size:
      put(0, ~std::uint64_t{0});
      break;
    case RpcCommand::get_alloc_size:
      put(0, tensor_bytes(data));
      break;
    case RpcCommand::set_tensor_hash:  // "I have it": nothing needs to be sent
    case RpcCommand::copy_tensor:      // "done"
      answer.bytes[0] = 1;
      break;
    default:
      break;
  }
  return answer;
}

std::string rpc_version_problem(std::span<const std::uint8_t> answer) {
  if (answer[0] == RPC_PROTO_MAJOR_VERSION && answer[1] <= RPC_PROTO_MINOR_VERSION) return {};
  return "speaks version " + std::to_string(answer[0]) + "." + std::to_string(answer[1]) +
         " of ggml's RPC protocol, but " + std::to_string(RPC_PROTO_MAJOR_VERSION) + "." +
         std::to_string(RPC_PROTO_MINOR_VERSION) +
         " is needed; run the rpc-server of the same llama.cpp release there";
}

}  // namespace gumbelspec::internal
