# What we mend in ggml without changing its files, so that it holds for every source of llama.cpp
# (the npm package, the repository, a local tree), with any flags and for every variant of the CPU
# backend. ggml's own project() includes this file: scripts/llama-cpp passes it as
# CMAKE_PROJECT_ggml_INCLUDE. The files in this folder are part of the build's key there.
add_compile_options(
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include \"${CMAKE_CURRENT_LIST_DIR}/amx_tile.h\">")
