# SPDX-License-Identifier: BSD-2-Clause
#
# What: what tests and tools need, made for another machine than the installed packages are for: GoogleTest from the sources
#       that Debian's `googletest` installs, the others by their headers alone.
# Contract: included instead of the find_package() calls when QUAY_FOREIGN is on; defines the same targets.

set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
set(INSTALL_GTEST OFF)
add_subdirectory(/usr/src/googletest "${CMAKE_BINARY_DIR}/googletest" EXCLUDE_FROM_ALL)

# A folder of links: the whole of /usr/include would hide the other machine's own headers.
set(foreign_headers "${CMAKE_BINARY_DIR}/foreign-include")
file(MAKE_DIRECTORY "${foreign_headers}")
foreach(name IN ITEMS fmt CLI nlohmann asio asio.hpp)
  if(EXISTS "/usr/include/${name}")
    file(CREATE_LINK "/usr/include/${name}" "${foreign_headers}/${name}" SYMBOLIC)
  endif()
endforeach()
foreach(target IN ITEMS fmt::fmt CLI11::CLI11 nlohmann_json::nlohmann_json)
  add_library(${target} INTERFACE IMPORTED)
  target_include_directories(${target} INTERFACE "${foreign_headers}")
endforeach()
target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY=1)
