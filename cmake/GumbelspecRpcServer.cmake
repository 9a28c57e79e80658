# llama.cpp's rpc-server, from the same source as the library: one small program over the same
# ggml, so it serves whatever backends that was built with. docs/distributed.md has its use.
add_executable(rpc-server ${GUMBELSPEC_LLAMA_DIR}/tools/rpc/rpc-server.cpp)
target_compile_features(rpc-server PRIVATE cxx_std_17)
target_link_libraries(rpc-server PRIVATE gumbelspec::libggml gumbelspec::libggml_base
  Threads::Threads)
