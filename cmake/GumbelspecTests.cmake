# One test program per subject; each TEST in it is a test of ctest, labelled unit, stat, model or
# slow (docs: CONTRIBUTING.md).
find_package(GTest REQUIRED)
include(GoogleTest)

# The environment of every test. Several run at once, and by default OpenMP's threads wait for each
# other by spinning, which on a busy machine makes everything tens of times slower. llama.cpp is not
# instrumented, so the thread sanitizer does not see its barriers.
set(GUMBELSPEC_TEST_ENVIRONMENT "OMP_WAIT_POLICY=passive")
if(GUMBELSPEC_SANITIZE MATCHES thread)
  list(APPEND GUMBELSPEC_TEST_ENVIRONMENT
    "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan-suppressions.txt")
endif()

# GoogleTest's headers take longer to read than most tests: read once, for all of them.
if(GUMBELSPEC_PRECOMPILES)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/test_headers.cc CONTENT "int main() {}\n")
  add_executable(gumbelspec_test_headers ${PROJECT_BINARY_DIR}/test_headers.cc)
  gumbelspec_target_options(gumbelspec_test_headers)
  gumbelspec_cold_code(gumbelspec_test_headers)
  target_link_libraries(gumbelspec_test_headers PRIVATE GTest::gmock Threads::Threads)
  set_target_properties(gumbelspec_test_headers PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  gumbelspec_precompile(gumbelspec_test_headers
    <gmock/gmock.h> <gtest/gtest.h> <algorithm> <functional> <map> <memory> <optional> <string>
    <string_view> <vector>)
endif()

# gumbelspec_isa_tests(<target> SETS <set>... [FILTER <filter of GoogleTest>] [LABEL <label>])
# The tests of a program once more with our code confined to each of the instruction sets scalar, avx2,
# avxvnni, avx512 and amx, as tests isa_<set>.<target>; skipped where the processor lacks the set
# (tests/processors/with_isa.cc). For ggml's own variants, where the CPU backend is one to be loaded:
# variables for the environment go into GUMBELSPEC_ISA_ENVIRONMENT_<set>.
function(gumbelspec_isa_tests target)
  cmake_parse_arguments(arg "" "FILTER;LABEL" "SETS" ${ARGN})
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    return()
  endif()
  if(NOT arg_FILTER)
    set(arg_FILTER "*")
  endif()
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  foreach(set IN LISTS arg_SETS)
    add_test(NAME isa_${set}.${target}
      COMMAND with-isa ${set} $<TARGET_FILE:${target}> "--gtest_filter=${arg_FILTER}")
    set_tests_properties(isa_${set}.${target} PROPERTIES
      LABELS ${arg_LABEL} TIMEOUT 600 SKIP_RETURN_CODE 77
      ENVIRONMENT "${GUMBELSPEC_TEST_ENVIRONMENT};${GUMBELSPEC_ISA_ENVIRONMENT_${set}}")
  endforeach()
endfunction()

# gumbelspec_test(<name> LABEL unit|stat|model|slow SOURCES a.cc... [LINK targets...]
#                 [TIMEOUT seconds])
# The tests see testing/ and the layers named in LINK; GUMBELSPEC_MODELS_DIR is the demo pair's
# folder, GUMBELSPEC_PROGRAM the program, GUMBELSPEC_LLAMA_MODELS the vocabularies and chat templates
# of llama.cpp's source tree.
function(gumbelspec_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT arg_LABEL MATCHES "^(unit|stat|model|slow)$")
    message(FATAL_ERROR "${name}: LABEL is '${arg_LABEL}', must be unit, stat, model or slow")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  add_executable(${name} ${arg_SOURCES})
  gumbelspec_target_options(${name})
  # Not those of the kernels: some compile them once more, and OpenMP's code has other headers.
  set(is_of_kernels OFF)
  if(gumbelspec_kernels IN_LIST arg_LINK)
    set(is_of_kernels ON)
  endif()
  if(NOT is_of_kernels)
    gumbelspec_cold_code(${name})
  endif()
  if(GUMBELSPEC_PRECOMPILES AND NOT is_of_kernels)
    target_precompile_headers(${name} REUSE_FROM gumbelspec_test_headers)
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LINK} gumbelspec_testing GTest::gmock
    GTest::gtest_main Threads::Threads)
  target_compile_definitions(${name} PRIVATE
    GUMBELSPEC_MODELS_DIR="${PROJECT_BINARY_DIR}/share/gumbelspec/models"
    GUMBELSPEC_PROGRAM="${PROJECT_BINARY_DIR}/bin/gumbelspec"
    GUMBELSPEC_LLAMA_MODELS="${GUMBELSPEC_LLAMA_MODELS}")
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_dependencies(${name} gumbelspec_models)
  gtest_discover_tests(${name}
    DISCOVERY_MODE PRE_TEST
    NO_PRETTY_VALUES  # a parameter without a printer would be its bytes, with addresses in them
    PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT}
      ENVIRONMENT "${GUMBELSPEC_TEST_ENVIRONMENT}")
endfunction()
