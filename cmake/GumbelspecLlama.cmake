# llama.cpp, pinned. scripts/llama-cpp builds it once, outside the build tree; its libraries and
# headers are copied into this build tree, which then no longer needs the cache.
#
# Sets:    GUMBELSPEC_LLAMA_SOURCE     its source tree; empty if the cache has been deleted
#          GUMBELSPEC_LLAMA_LIBRARIES  llama, ggml, ggml-base, ggml-cpu and the other backends that
#                                      GUMBELSPEC_LLAMA_CMAKE_ARGS asked for
#          GUMBELSPEC_LLAMA_NEEDS      the instruction sets that it was compiled for
#          GUMBELSPEC_LLAMA_MODULES    of a portable build: the backends, loaded at run time and
#                                      not linked: ggml-cpu-haswell, ggml-rpc, ...
#          GUMBELSPEC_GGML_SOURCE_DIR  include/ and src/ with the headers that kernels/ needs
#          GUMBELSPEC_HTTPLIB_DIR      httplib.h and httplib.cpp, which apps/server/http compiles
#          GUMBELSPEC_LLAMA_MODELS     with tests: its vocabularies (ggml-vocab-*) and chat templates
# Writes:  generated/llama_libraries.h in GUMBELSPEC_LLAMA_DIR
# Targets: gumbelspec::lib<library>, - written as _: gumbelspec::libllama, gumbelspec::libggml_base
#          (imported, shared)
set(GUMBELSPEC_LLAMA_DIR ${PROJECT_BINARY_DIR}/llama.cpp)
set(GUMBELSPEC_GGML_SOURCE_DIR ${GUMBELSPEC_LLAMA_DIR})
set(GUMBELSPEC_HTTPLIB_DIR ${GUMBELSPEC_LLAMA_DIR}/vendor/cpp-httplib)
set(GUMBELSPEC_LLAMA_MODELS ${GUMBELSPEC_LLAMA_DIR}/models)
# The same place, as seen from the program, in the build tree and in an installation.
set(GUMBELSPEC_LLAMA_LIBDIR ${PROJECT_BINARY_DIR}/${CMAKE_INSTALL_LIBDIR}/gumbelspec)

# For scripts/llama-cpp and the scripts that call it. Through the environment, because a list of
# architectures has semicolons.
if(GUMBELSPEC_LLAMA_CMAKE_ARGS)
  set(ENV{GUMBELSPEC_LLAMA_CMAKE_ARGS} "${GUMBELSPEC_LLAMA_CMAKE_ARGS}")
endif()

# gumbelspec_llama_script(<variable> [argument]): what scripts/llama-cpp prints.
function(gumbelspec_llama_script variable)
  set(environment "")
  if(GUMBELSPEC_LLAMA_SOURCE_DIR)
    set(environment "GUMBELSPEC_LLAMA_SOURCE_DIR=${GUMBELSPEC_LLAMA_SOURCE_DIR}")
  endif()
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env ${environment} ${PROJECT_SOURCE_DIR}/scripts/llama-cpp ${ARGN}
    OUTPUT_VARIABLE output OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "llama.cpp could not be provided; the reason stands above")
  endif()
  set(${variable} "${output}" PARENT_SCOPE)
endfunction()

# gumbelspec_llama_value(<variable> <key> <output>): the value of the line key=value.
function(gumbelspec_llama_value variable key output)
  if(NOT output MATCHES "(^|\n)${key}=([^\n]*)")
    message(FATAL_ERROR "scripts/llama-cpp printed no ${key}, but: ${output}")
  endif()
  set(${variable} "${CMAKE_MATCH_2}" PARENT_SCOPE)
endfunction()

# What tests of tokenizers and chat templates read: 76 MB, so not in every build.
function(gumbelspec_copy_llama_models source)
  if(GUMBELSPEC_BUILD_TESTS)
    file(COPY ${source}/models/ DESTINATION ${GUMBELSPEC_LLAMA_MODELS})
  endif()
endfunction()

# What apps/hub compiles.
function(gumbelspec_copy_llama_hash source)
  if(EXISTS ${source} AND NOT EXISTS ${GUMBELSPEC_LLAMA_DIR}/vendor/hash)
    foreach(folder sha256 rotate-bits)
      file(COPY ${source}/vendor/hash/${folder} DESTINATION ${GUMBELSPEC_LLAMA_DIR}/vendor/hash)
    endforeach()
  endif()
endfunction()

# The chat code of its server, which apps/llama_common compiles.
function(gumbelspec_copy_llama_chat source)
  if(NOT EXISTS ${source} OR EXISTS ${GUMBELSPEC_LLAMA_DIR}/tools/server/server-chat.cpp)
    return()
  endif()
  foreach(file chat.cpp chat.h chat-auto-parser.h chat-auto-parser-generator.cpp
      chat-auto-parser-helpers.cpp chat-auto-parser-helpers.h chat-diff-analyzer.cpp
      chat-peg-parser.cpp chat-peg-parser.h json-schema.cpp json-schema.h json-schema-to-grammar.cpp
      json-schema-to-grammar.h parsers peg-parser.cpp peg-parser.h trie.cpp trie.h)
    file(COPY ${source}/common/${file} DESTINATION ${GUMBELSPEC_LLAMA_DIR}/common)
  endforeach()
  file(COPY ${source}/tools/server/server-chat.cpp ${source}/tools/server/server-chat.h
    DESTINATION ${GUMBELSPEC_LLAMA_DIR}/tools/server)
endfunction()

function(gumbelspec_copy_llama)
  set(stamp ${GUMBELSPEC_LLAMA_DIR}/stamp)
  gumbelspec_llama_script(output --key)
  gumbelspec_llama_value(key key "${output}")
  if(EXISTS ${stamp} AND EXISTS ${GUMBELSPEC_LLAMA_LIBDIR}/libllama.so
      AND EXISTS ${GUMBELSPEC_LLAMA_DIR}/common
      AND EXISTS ${GUMBELSPEC_LLAMA_DIR}/src/llama-context.h
      AND EXISTS ${GUMBELSPEC_LLAMA_DIR}/ggml
      AND EXISTS ${GUMBELSPEC_LLAMA_DIR}/tools/rpc/rpc-server.cpp
      AND EXISTS ${GUMBELSPEC_LLAMA_DIR}/tests/test-llama-archs.cpp
      AND EXISTS ${GUMBELSPEC_HTTPLIB_DIR}/httplib.cpp
      AND (EXISTS ${GUMBELSPEC_LLAMA_MODELS}/templates OR NOT GUMBELSPEC_BUILD_TESTS))
    file(STRINGS ${stamp} lines)
    list(GET lines 0 built_key)
    list(GET lines 1 source)
    gumbelspec_copy_llama_chat("${source}")
    if(built_key STREQUAL key AND EXISTS ${GUMBELSPEC_LLAMA_DIR}/tools/server/server-chat.cpp)
      gumbelspec_copy_llama_hash("${source}")
      if(NOT EXISTS ${source})
        set(source "")
      endif()
      set(GUMBELSPEC_LLAMA_SOURCE "${source}" PARENT_SCOPE)
      return()
    endif()
  endif()

  gumbelspec_llama_script(output)
  gumbelspec_llama_value(prefix prefix "${output}")
  gumbelspec_llama_value(source source "${output}")
  file(REMOVE_RECURSE ${GUMBELSPEC_LLAMA_DIR})
  file(COPY ${prefix}/include DESTINATION ${GUMBELSPEC_LLAMA_DIR})
  # ggml's header for devices (kernels/) is not among the installed ones.
  file(COPY ${source}/ggml/src/ggml-backend-impl.h DESTINATION ${GUMBELSPEC_LLAMA_DIR}/src)
  file(COPY ${source}/vendor/cpp-httplib DESTINATION ${GUMBELSPEC_LLAMA_DIR}/vendor)
  gumbelspec_copy_llama_hash(${source})
  # Its parser says what is wrong with a grammar, which the functions in llama.h do not; its context
  # and what that includes, which device computes what.
  foreach(header adapter arch batch context cparams ext graph grammar hparams impl memory)
    file(COPY ${source}/src/llama-${header}.h DESTINATION ${GUMBELSPEC_LLAMA_DIR}/src)
  endforeach()
  # What apps/llama_common compiles.
  foreach(file json unicode)
    file(COPY ${source}/common/${file}.cpp ${source}/common/${file}.h
      DESTINATION ${GUMBELSPEC_LLAMA_DIR}/common)
  endforeach()
  gumbelspec_copy_llama_chat(${source})
  # What tests/processors compiles: ggml's AMX code, and its private headers.
  foreach(folder "" /ggml-cpu /ggml-cpu/amx)
    file(GLOB headers ${source}/ggml/src${folder}/*.h)
    file(COPY ${headers} DESTINATION ${GUMBELSPEC_LLAMA_DIR}/ggml/src${folder})
  endforeach()
  foreach(file amx mmq)
    file(COPY ${source}/ggml/src/ggml-cpu/amx/${file}.cpp
      DESTINATION ${GUMBELSPEC_LLAMA_DIR}/ggml/src/ggml-cpu/amx)
  endforeach()
  # What testing/zoo compiles.
  file(COPY ${source}/tests/test-llama-archs.cpp DESTINATION ${GUMBELSPEC_LLAMA_DIR}/tests)
  file(COPY ${source}/src/llama-model-saver.h DESTINATION ${GUMBELSPEC_LLAMA_DIR}/src)
  # What GUMBELSPEC_BUILD_RPC_SERVER compiles.
  file(COPY ${source}/tools/rpc/rpc-server.cpp DESTINATION ${GUMBELSPEC_LLAMA_DIR}/tools/rpc)
  file(COPY ${source}/common/jinja DESTINATION ${GUMBELSPEC_LLAMA_DIR}/common)
  gumbelspec_copy_llama_models(${source})
  file(COPY ${prefix}/share/licenses/llama.cpp/LICENSE DESTINATION ${GUMBELSPEC_LLAMA_DIR})
  file(MAKE_DIRECTORY ${GUMBELSPEC_LLAMA_LIBDIR})
  file(GLOB old ${GUMBELSPEC_LLAMA_LIBDIR}/lib*.so*)
  if(old)
    file(REMOVE ${old})
  endif()
  file(GLOB links RELATIVE ${prefix}/lib ${prefix}/lib/lib*.so)
  foreach(link IN LISTS links)
    if(link MATCHES "^libggml-" AND NOT link STREQUAL "libggml-base.so"
        AND NOT EXISTS ${prefix}/lib/libggml-cpu.so)
      # A module: found by this very name.
      file(REAL_PATH ${prefix}/lib/${link} file)
      file(COPY_FILE ${file} ${GUMBELSPEC_LLAMA_LIBDIR}/${link})
      continue()
    endif()
    # libx.so -> libx.so.0 (the name that the loader looks for) -> libx.so.0.5.0
    file(READ_SYMLINK ${prefix}/lib/${link} soname)
    file(REAL_PATH ${prefix}/lib/${soname} file)
    file(COPY_FILE ${file} ${GUMBELSPEC_LLAMA_LIBDIR}/${soname})
    file(CREATE_LINK ${soname} ${GUMBELSPEC_LLAMA_LIBDIR}/${link} SYMBOLIC)
  endforeach()
  file(WRITE ${stamp} "${key}\n${source}\n")
  set(GUMBELSPEC_LLAMA_SOURCE "${source}" PARENT_SCOPE)
endfunction()

# gumbelspec_llama_needs(<variable>): the instruction sets that llama.cpp's CPU backend is compiled
# for, as the compiler's macros without underscores, with spaces between. Of a backend in variants,
# which chooses at run time, none. src/llama/processor_check.cc asks the processor for them.
function(gumbelspec_llama_needs variable)
  set(${variable} "" PARENT_SCOPE)
  set(arguments "$ENV{GUMBELSPEC_LLAMA_CMAKE_ARGS}")
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$"
      OR arguments MATCHES "GGML_(CPU_ALL_VARIANTS|BACKEND_DL)=(ON|1)")
    return()
  endif()
  set(flags -march=native)
  if(arguments MATCHES "GGML_NATIVE=(OFF|0)")
    set(flags "")
    # ggml's defaults, then what was asked for.
    foreach(set SSE42 AVX AVX2 FMA F16C BMI2 AVX512 AVX_VNNI AVX512_VBMI AVX512_VNNI AVX512_BF16)
      set(is_on OFF)
      if(set MATCHES "^(SSE42|AVX|AVX2|FMA|F16C|BMI2)$")
        set(is_on ON)
      endif()
      if(arguments MATCHES "GGML_${set}=([A-Z0-9]+)")
        set(is_on ${CMAKE_MATCH_1})
      endif()
      string(TOLOWER ${set} flag)
      string(REPLACE _ "" flag ${flag})
      string(REPLACE sse42 sse4.2 flag ${flag})
      if(is_on AND flag STREQUAL avx512)
        list(APPEND flags -mavx512f -mavx512cd -mavx512vl -mavx512dq -mavx512bw)
      elseif(is_on)
        list(APPEND flags -m${flag})
      endif()
    endforeach()
  endif()
  separate_arguments(more UNIX_COMMAND "$ENV{CXXFLAGS}")
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} ${more} ${flags} -dM -E -x c++ /dev/null
    OUTPUT_VARIABLE macros RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    return()
  endif()
  string(REGEX MATCHALL "#define __[A-Z0-9_]+__ 1" lines "${macros}")
  list(TRANSFORM lines REPLACE "#define __(.*)__ 1" "\\1")
  list(FILTER lines INCLUDE REGEX "^(S?SSE[0-9_]*|AVX[A-Z0-9]*|F16C|FMA|BMI2?|LZCNT|POPCNT|MOVBE|GFNI)$")
  list(JOIN lines " " needs)
  set(${variable} "${needs}" PARENT_SCOPE)
endfunction()

gumbelspec_copy_llama()
gumbelspec_llama_needs(GUMBELSPEC_LLAMA_NEEDS)
message(STATUS "llama.cpp: ${GUMBELSPEC_LLAMA_LIBDIR}, from ${GUMBELSPEC_LLAMA_SOURCE}")

# gumbelspec_build_id(<variable> <library>): its build id, which no other build has; empty if it has
# none.
function(gumbelspec_build_id variable library)
  set(id "")
  if(CMAKE_READELF)
    execute_process(COMMAND ${CMAKE_READELF} -n ${library} OUTPUT_VARIABLE notes ERROR_QUIET)
    if(notes MATCHES "Build ID: ([0-9a-f]+)")
      set(id ${CMAKE_MATCH_1})
    endif()
  endif()
  set(${variable} "${id}" PARENT_SCOPE)
endfunction()

file(GLOB links RELATIVE ${GUMBELSPEC_LLAMA_LIBDIR} ${GUMBELSPEC_LLAMA_LIBDIR}/lib*.so)
set(GUMBELSPEC_LLAMA_LIBRARIES "")
set(GUMBELSPEC_LLAMA_MODULES "")
set(backends "")
set(linked_builds "")
set(module_builds "")
foreach(link IN LISTS links)
  string(REGEX REPLACE "^lib(.*)\\.so$" "\\1" library ${link})
  string(REPLACE "-" "_" target gumbelspec::lib${library})
  gumbelspec_build_id(id ${GUMBELSPEC_LLAMA_LIBDIR}/${link})
  if(library MATCHES "^ggml-" AND NOT library STREQUAL "ggml-base"
      AND NOT EXISTS ${GUMBELSPEC_LLAMA_LIBDIR}/libggml-cpu.so)
    list(APPEND GUMBELSPEC_LLAMA_MODULES ${library})
    list(APPEND module_builds "    LibraryBuild{\"${link}\", \"${id}\"},\n")
    continue()
  endif()
  list(APPEND GUMBELSPEC_LLAMA_LIBRARIES ${library})
  list(APPEND linked_builds "    LibraryBuild{\"${link}\", \"${id}\"},\n")
  if(library MATCHES "^ggml-")
    list(APPEND backends ${target})
  endif()
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION ${GUMBELSPEC_LLAMA_LIBDIR}/${link}
    # Imported: a SYSTEM folder, so its warnings are not ours.
    INTERFACE_INCLUDE_DIRECTORIES ${GUMBELSPEC_LLAMA_DIR}/include)
endforeach()
set_property(TARGET gumbelspec::libllama PROPERTY
  INTERFACE_LINK_LIBRARIES gumbelspec::libggml gumbelspec::libggml_base)
set_property(TARGET gumbelspec::libggml PROPERTY IMPORTED_LINK_DEPENDENT_LIBRARIES ${backends})

# For src/llama/backends.cc, which sees to it that these are the ones at run time.
list(LENGTH linked_builds n_linked)
list(LENGTH module_builds n_modules)
list(JOIN linked_builds "" linked_builds)
list(JOIN module_builds "" module_builds)
file(CONFIGURE OUTPUT ${GUMBELSPEC_LLAMA_DIR}/generated/llama_libraries.h CONTENT
"// Made by cmake/GumbelspecLlama.cmake: the libraries of the llama.cpp that this build was made with.
#include <array>

#include \"src/llama/backends.h\"

namespace gumbelspec::internal {

inline constexpr std::array<LibraryBuild, @n_linked@> kLlamaLibraries = {
@linked_builds@};
inline constexpr std::array<LibraryBuild, @n_modules@> kBackendModules = {
@module_builds@};

}  // namespace gumbelspec::internal
" @ONLY)
