# llama.cpp's own programs, for `gumbelspec bench --peers`: built once by scripts/llama-cpp-peers, and
# linked to where the program looks for them. Not installed.
set(environment "")
if(GUMBELSPEC_LLAMA_SOURCE_DIR)
  set(environment "GUMBELSPEC_LLAMA_SOURCE_DIR=${GUMBELSPEC_LLAMA_SOURCE_DIR}")
endif()
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env ${environment} ${PROJECT_SOURCE_DIR}/scripts/llama-cpp-peers
  OUTPUT_VARIABLE peers OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "llama.cpp's programs could not be built; the reason stands above")
endif()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/lib/gumbelspec)
file(CREATE_LINK ${peers} ${PROJECT_BINARY_DIR}/lib/gumbelspec/peers SYMBOLIC)
message(STATUS "llama.cpp's programs: ${peers}")
