# llama.cpp's rpc-server, from the same source as the library: one small program over the same
# ggml, so it serves whatever backends that was built with. docs/distributed.md has its use.
add_executable(rpc-server ${GUMBELSPEC_LLAMA_DIR}/tools/rpc/rpc-server.cpp
  ${PROJECT_SOURCE_DIR}/src/llama/rpc_server_backends.cc)
target_compile_features(rpc-server PRIVATE cxx_std_20)
target_include_directories(rpc-server PRIVATE ${PROJECT_SOURCE_DIR})
# ggml's own function looks for modules in the current folder, too, whoever left them there.
target_compile_definitions(rpc-server PRIVATE
  ggml_backend_load_all=gumbelspec_load_rpc_server_backends)
target_link_libraries(rpc-server PRIVATE gumbelspec_llama gumbelspec::libllama gumbelspec::libggml
  gumbelspec::libggml_base Threads::Threads)
