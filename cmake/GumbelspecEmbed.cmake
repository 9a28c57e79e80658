# Writes files into a C++ source, as they are and compressed: run by web/CMakeLists.txt when one of
# them changes. CMake does it alone, so that the program builds without Node.
#
#   cmake -D FOLDER=... -D FILES="index.html,app.js" -D OUTPUT=page.cc -P GumbelspecEmbed.cmake
cmake_minimum_required(VERSION 3.24)

# bytes_of(VARIABLE FILE): its bytes as a list of C++ numbers, 64 on a line.
function(bytes_of variable file)
  file(READ ${file} hex HEX)
  # gzip's header holds the time of compression; the same files are to give the same program.
  string(REGEX REPLACE "^(1f8b0800)........" "\\100000000" hex "${hex}")
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REPEAT "." 320 line)
  string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
  set(${variable} "${bytes}" PARENT_SCOPE)
endfunction()

function(content_type variable file)
  set(types_html "text/html; charset=utf-8")
  set(types_js "text/javascript; charset=utf-8")
  set(types_css "text/css; charset=utf-8")
  set(types_svg "image/svg+xml")
  cmake_path(GET file EXTENSION LAST_ONLY extension)
  string(SUBSTRING "${extension}" 1 -1 extension)
  if(NOT types_${extension})
    message(FATAL_ERROR "${file}: no content type for this extension")
  endif()
  set(${variable} "${types_${extension}}" PARENT_SCOPE)
endfunction()

set(arrays "")
set(table "")
set(number 0)
string(REPLACE "," ";" names "${FILES}")
foreach(name ${names})
  set(file ${FOLDER}/${name})
  file(ARCHIVE_CREATE OUTPUT ${OUTPUT}.gz PATHS ${file} FORMAT raw COMPRESSION GZip
    COMPRESSION_LEVEL 9)
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  bytes_of(plain ${file})
  bytes_of(gzip ${OUTPUT}.gz)
  file(REMOVE ${OUTPUT}.gz)
  content_type(type ${name})
  set(path /${name})
  if(name STREQUAL "index.html")
    set(path /)
  endif()
  string(APPEND arrays "constexpr unsigned char kPlain${number}[] = {\n${plain}};\n"
    "constexpr unsigned char kGzip${number}[] = {\n${gzip}};\n")
  string(APPEND table "    {\"${path}\", \"${type}\", bytes(kPlain${number}), bytes(kGzip${number}),\n     \"\\\"${hash}\\\"\"},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${OUTPUT}.new "// Made by cmake/GumbelspecEmbed.cmake.
#include \"apps/server/http/static_files.h\"

namespace gumbelspec::server {
namespace {

${arrays}
template <std::size_t n>
std::string_view bytes(const unsigned char (&data)[n]) {
  return {reinterpret_cast<const char*>(data), n};
}

}  // namespace

std::span<const StaticFile> static_files() {
  static const StaticFile kFiles[] = {
${table}  };
  return kFiles;
}

}  // namespace gumbelspec::server
")
file(RENAME ${OUTPUT}.new ${OUTPUT})
