# Which of llama.cpp's sources are compiled with -O1 instead of -O3: what runs while a model is
# loaded, or describes its graph, or not at all here. They take two thirds of the time that way
# (docs/results/first-build.md). None of them computes numbers of a pass; what does, and what runs
# for every token, keeps -O3.
#
# llama.cpp's own project() includes this file: scripts/llama-cpp passes it as
# CMAKE_PROJECT_llama.cpp_INCLUDE. Once all targets are there, the deferred call goes through them.
function(gumbelspec_cold_code)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Release" OR NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    return()
  endif()
  # Behind CMAKE_CXX_FLAGS_RELEASE, so they count; a source's own ones stand behind these.
  target_compile_options(llama PRIVATE -O1)
  get_target_property(folder llama SOURCE_DIR)
  foreach(name batch context cparams grammar graph hparams kv-cache kv-cache-dsa kv-cache-dsa-iswa
      kv-cache-dsv4 kv-cache-iswa kv-cache-msa memory memory-hybrid memory-hybrid-idx
      memory-hybrid-iswa memory-recurrent sampler vocab)
    list(APPEND hot ${folder}/llama-${name}.cpp)
  endforeach()
  set_property(SOURCE ${hot} ${folder}/unicode.cpp TARGET_DIRECTORY llama
    APPEND PROPERTY COMPILE_OPTIONS -O3)

  # Reading files, several devices as one, training, the list of backends, the network.
  get_target_property(folder ggml-base SOURCE_DIR)
  set_property(SOURCE ${folder}/gguf.cpp ${folder}/ggml-backend-meta.cpp ${folder}/ggml-opt.cpp
    TARGET_DIRECTORY ggml-base APPEND PROPERTY COMPILE_OPTIONS -O1)
  target_compile_options(ggml PRIVATE -O1)
  if(TARGET ggml-rpc)
    target_compile_options(ggml-rpc PRIVATE -O1)
  endif()
endfunction()
cmake_language(DEFER CALL gumbelspec_cold_code)
