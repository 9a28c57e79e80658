# Read by CPack before each kind of package: the archive has both parts in one folder, and nothing
# that belongs to Debian's packages alone.
if(CPACK_GENERATOR STREQUAL "TGZ")
  set(CPACK_COMPONENTS_ALL runtime dev)
  set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
  set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
  set(CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY ON)
  set(CPACK_PACKAGING_INSTALL_PREFIX "")
else()
  set(CPACK_COMPONENTS_ALL runtime dev debian debian-dev)
  set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
endif()
