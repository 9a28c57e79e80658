# Packages: scripts/package runs CPack on a build of the preset portable.
#
#   gumbelspec_<version>_amd64.deb       program, llama.cpp's libraries, plug-in, demo pair, service
#   gumbelspec-dev_<version>_amd64.deb   static libraries, headers, CMake and pkg-config files
#   gumbelspec-<version>-linux-x86_64.tar.gz   both, to be unpacked anywhere
#
# Components of the Debian packages alone, never of an installation: debian, debian-dev. They are
# installed to /usr, and the configuration, which is not below it, to ../etc from there.
set(debian COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES packaging/gumbelspec.service DESTINATION lib/systemd/system ${debian})
install(FILES packaging/serve.env DESTINATION ../etc/gumbelspec ${debian})

# Debian wants all licences in one file.
set(copyright ${PROJECT_BINARY_DIR}/copyright)
file(GLOB licences ${PROJECT_SOURCE_DIR}/licenses/*.txt)
file(READ ${PROJECT_SOURCE_DIR}/LICENSE text)
foreach(licence IN LISTS licences)
  file(READ ${licence} part)
  string(APPEND text "\n----\n\n${part}")
endforeach()
file(READ ${GUMBELSPEC_LLAMA_DIR}/LICENSE part)
string(APPEND text "\n----\n\nllama.cpp (https://github.com/ggml-org/llama.cpp)\n${part}")
file(WRITE ${copyright} "${text}")
install(FILES ${copyright} DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/gumbelspec ${debian})
install(FILES ${copyright} DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/gumbelspec-dev
  COMPONENT debian-dev EXCLUDE_FROM_ALL)

string(TOLOWER "${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}" platform)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_NAME gumbelspec)
set(CPACK_PACKAGE_VENDOR "The GumbelSpec authors")
set(CPACK_PACKAGE_CONTACT "The GumbelSpec authors <gumbelspec@localhost>")
set(CPACK_PACKAGE_FILE_NAME gumbelspec-${PROJECT_VERSION}-${platform})
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/GumbelspecPackageKind.cmake)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME gumbelspec)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "exact speculative decoding of large language models")
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION "Runs large language models (GGUF files) faster without changing what they say.
A small draft model proposes a tree of continuations, the target model checks
it in one pass with the same noise; for a seed the text is the same with and
without it. With an OpenAI-compatible server and a pair of demo models.")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${GUMBELSPEC_LLAMA_LIBDIR})
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS python3-matplotlib)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(folder ${PROJECT_SOURCE_DIR}/packaging/debian)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_EXTRA
  ${folder}/conffiles ${folder}/postinst ${folder}/prerm ${folder}/postrm)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME gumbelspec-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "gumbelspec (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "The library. Static libraries, headers, CMake and pkg-config files for programs that decode
with gumbelspec.")

include(CPack)
cpack_add_component_group(program)
cpack_add_component_group(development)
cpack_add_component(runtime GROUP program)
cpack_add_component(debian GROUP program)
cpack_add_component(dev GROUP development)
cpack_add_component(debian-dev GROUP development)
