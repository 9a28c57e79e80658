# Installation: the program, the libraries with find_package(gumbelspec) and pkg-config files, the
# demo pair. llama.cpp's libraries go into a folder of our own, so that they never meet another
# llama.cpp; everything finds everything relative to itself, so the prefix can be moved.
#
# Components: runtime, dev, and those of cmake/GumbelspecPackage.cmake.
include(CMakePackageConfigHelpers)

set(private_libdir ${CMAKE_INSTALL_LIBDIR}/gumbelspec)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gumbelspec)
set(licence_dir ${CMAKE_INSTALL_DATADIR}/licenses/gumbelspec)

get_property(libraries GLOBAL PROPERTY GUMBELSPEC_LIBRARIES)
install(TARGETS ${libraries} EXPORT gumbelspec-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(EXPORT gumbelspec-targets NAMESPACE gumbelspec:: DESTINATION ${package_dir} COMPONENT dev)

set(pc_libs "-lgumbelspec_engine -lgumbelspec_core")
if(GUMBELSPEC_BUILD_LLAMA)
  install(DIRECTORY ${GUMBELSPEC_LLAMA_LIBDIR}/ DESTINATION ${private_libdir}
    PATTERN peers EXCLUDE)
  # The umbrella header belongs to no layer: it needs all of them.
  install(FILES include/gumbelspec/gumbelspec.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gumbelspec COMPONENT dev)
  install(FILES ${GUMBELSPEC_LLAMA_DIR}/LICENSE DESTINATION ${licence_dir} RENAME llama.cpp.txt)
  string(PREPEND pc_libs "-lgumbelspec_pair -lgumbelspec_llama ")
  if(GUMBELSPEC_BUILD_KERNELS)
    install(TARGETS gumbelspec_kernels EXPORT gumbelspec-targets
      ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
    string(REPLACE "-lgumbelspec_pair " "-lgumbelspec_pair -lgumbelspec_kernels " pc_libs
      "${pc_libs}")
    find_package(OpenMP)
    if(OpenMP_CXX_FOUND)
      set(pc_openmp " ${OpenMP_CXX_FLAGS}")
    endif()
  endif()
  string(APPEND pc_libs " -L\${privatelibdir} -Wl,-rpath,\${privatelibdir} -lllama -lggml -lggml-base")
  string(APPEND pc_libs "${pc_openmp} -pthread")
endif()

if(TARGET gumbelspec)
  file(RELATIVE_PATH rpath /${CMAKE_INSTALL_BINDIR} /${private_libdir})
  set_target_properties(gumbelspec gumbelspec-scale PROPERTIES
    INSTALL_RPATH "\$ORIGIN/${rpath}" BUILD_WITH_INSTALL_RPATH ON)
  install(TARGETS gumbelspec gumbelspec-scale RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(NOT CMAKE_CROSSCOMPILING)
    install(FILES ${GUMBELSPEC_MAN_PAGE} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${GUMBELSPEC_BASH_COMPLETION}
      DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${GUMBELSPEC_ZSH_COMPLETION}
      DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
  endif()
  # To be put in place by hand, except by the Debian package.
  install(FILES packaging/gumbelspec.service packaging/serve.env
    DESTINATION ${CMAKE_INSTALL_DATADIR}/gumbelspec)
endif()
if(TARGET gumbelspec_c)
  install(TARGETS gumbelspec_c EXPORT gumbelspec-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
  file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  configure_file(cmake/gumbelspec-c.pc.in ${PROJECT_BINARY_DIR}/gumbelspec-c.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/gumbelspec-c.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
  # Where Debian's Python looks below /usr; of another prefix it goes into PYTHONPATH.
  set(python_dir lib/python3/dist-packages/gumbelspec)
  install(DIRECTORY bindings/python/gumbelspec/ DESTINATION ${python_dir}
    FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
  file(RELATIVE_PATH python_library /${python_dir} /${CMAKE_INSTALL_LIBDIR}/libgumbelspec_c.so.1)
  file(RELATIVE_PATH python_models /${python_dir} /${CMAKE_INSTALL_DATADIR}/gumbelspec/models)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/python/_installed.py CONTENT
"\"\"\"Where the installation has what the package needs, from this folder.\"\"\"

LIBRARY = \"@python_library@\"
MODELS = \"@python_models@\"
" @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/python/_installed.py DESTINATION ${python_dir})
endif()
if(TARGET ggml-gumbelspec)
  # For unmodified programs of llama.cpp: GGML_BACKEND_PATH.
  set_target_properties(ggml-gumbelspec PROPERTIES INSTALL_RPATH "\$ORIGIN")
  install(TARGETS ggml-gumbelspec LIBRARY DESTINATION ${private_libdir})
endif()
if(TARGET rpc-server)
  # Not among the programs of everybody: other builds of llama.cpp bring one of the same name.
  set_target_properties(rpc-server PROPERTIES
    INSTALL_RPATH "\$ORIGIN/.." BUILD_WITH_INSTALL_RPATH OFF)
  install(TARGETS rpc-server RUNTIME DESTINATION ${private_libdir}/bin)
endif()

string(REPLACE ";" " " GUMBELSPEC_LLAMA_LIBRARIES "${GUMBELSPEC_LLAMA_LIBRARIES}")
configure_package_config_file(cmake/gumbelspec-config.cmake.in
  ${PROJECT_BINARY_DIR}/gumbelspec-config.cmake
  INSTALL_DESTINATION ${package_dir}
  PATH_VARS private_libdir)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gumbelspec-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/gumbelspec-config.cmake
  ${PROJECT_BINARY_DIR}/gumbelspec-config-version.cmake
  DESTINATION ${package_dir} COMPONENT dev)

file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/gumbelspec.pc.in ${PROJECT_BINARY_DIR}/gumbelspec.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/gumbelspec.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT dev)

install(FILES LICENSE DESTINATION ${licence_dir} RENAME gumbelspec.txt)
install(FILES licenses/CLI11.txt licenses/Random123.txt licenses/cpp-httplib.txt licenses/d3.txt
  licenses/libedit.txt licenses/nlohmann-json.txt licenses/preact.txt licenses/preact-signals.txt
  licenses/prometheus-cpp.txt licenses/rotate-bits.txt licenses/uplot.txt
  DESTINATION ${licence_dir})
