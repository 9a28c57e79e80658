# What every target of ours gets; flags are set per target, never globally, so that a project that
# adds this one as a subdirectory keeps its own.

# gumbelspec_target_options(<target>): in developer mode warnings, which are errors; sanitizers.
function(gumbelspec_target_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  if(GUMBELSPEC_DEVELOPER)
    target_compile_options(${target} PRIVATE
      -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
      # g++ 12 with optimisation sees both inside std::string and std::vector, wrongly.
      $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-maybe-uninitialized>)
  endif()
  if(GUMBELSPEC_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=${GUMBELSPEC_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    # Whatever links one of our archives needs the sanitizer's run-time library.
    target_link_options(${target} PUBLIC $<BUILD_INTERFACE:-fsanitize=${GUMBELSPEC_SANITIZE}>)
  endif()
endfunction()

# gumbelspec_cold_code(<target>): code that runs a few times a start or a request, where the time to
# compile it counts for more than its speed.
function(gumbelspec_cold_code target)
  # Behind the build type's own -O3, so this one counts.
  target_compile_options(${target} PRIVATE
    $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU,Clang,AppleClang>>:-O1>
    # g++ 12 sees overflows inside std::string where its header is precompiled, wrongly.
    $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU>>:-Wno-stringop-overflow>)
endfunction()

# Whether headers are precompiled: not for developers, who want to know what a source forgot to
# include, and not with a compiler launcher (ccache), which knows better what to compile again.
set(GUMBELSPEC_PRECOMPILES ON)
if(GUMBELSPEC_DEVELOPER OR GUMBELSPEC_SANITIZE OR CMAKE_CXX_COMPILER_LAUNCHER)
  set(GUMBELSPEC_PRECOMPILES OFF)
endif()

# gumbelspec_precompile(<target> <header>...): what most of its sources include, read once.
function(gumbelspec_precompile target)
  if(GUMBELSPEC_PRECOMPILES)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

# gumbelspec_library(<layer>): the installed static library gumbelspec_<layer>, known as
# gumbelspec::<layer>. The layer's CMakeLists.txt adds sources and public headers to it.
function(gumbelspec_library layer)
  set(target gumbelspec_${layer})
  add_library(${target} STATIC)
  add_library(gumbelspec::${layer} ALIAS ${target})
  # A layer that has only headers so far is still an archive.
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${layer} LINKER_LANGUAGE CXX)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  gumbelspec_target_options(${target})
  set_property(GLOBAL APPEND PROPERTY GUMBELSPEC_LIBRARIES ${target})
endfunction()

# gumbelspec_public_headers(<layer> <name.h>...): headers below include/gumbelspec that belong to
# the layer; they are installed with it, and in the dev preset each must compile on its own.
function(gumbelspec_public_headers layer)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/include/gumbelspec/)
  target_sources(gumbelspec_${layer} PUBLIC
    FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${ARGN})
endfunction()
