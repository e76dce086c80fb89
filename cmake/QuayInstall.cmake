# SPDX-License-Identifier: BSD-2-Clause
#
# What: what `cmake --install` puts where: libraries, headers, the tool, manual pages, pkg-config files, CMake package.
# Invariants: 1. The installed tree can be moved: pkg-config files find their prefix from where they lie, the CMake
#                package likewise.
#             2. <sys/event.h> and <port.h> lie in folders of their own below includedir, never on the path of a program
#                that did not ask for them.

include(CMakePackageConfigHelpers)

set(exported quay quay_static quay_bsd quay_illumos)
if(TARGET quay-hooks)
  list(APPEND exported quay-hooks)
endif()
install(TARGETS ${exported} EXPORT quay-targets)
# What has to be built before an installation: `installable`.
set(built quay quay_static)
if(TARGET quay-hooks)
  list(APPEND built quay-hooks)
endif()
if(TARGET quay_tool)
  install(TARGETS quay_tool)
  install(TARGETS quay_trace LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/quay")
  list(APPEND built quay_tool quay_trace)
  install(FILES "${PROJECT_SOURCE_DIR}/tools/completion/quay.bash" RENAME quay
          DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
  install(FILES "${PROJECT_SOURCE_DIR}/tools/completion/_quay" DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
endif()
# Where `quay bench` finds them.
if(QUAY_BENCH)
  get_property(bench_targets DIRECTORY "${PROJECT_SOURCE_DIR}/bench" PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS bench_targets)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "EXECUTABLE")
      install(TARGETS ${target} DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/quay/bench")
      list(APPEND built ${target})
    endif()
  endforeach()
endif()
add_custom_target(installable)
add_dependencies(installable ${built})

# install_headers(<folder of include/> <folder below includedir>)
function(install_headers from to)
  if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/include/${from}")
    install(
      DIRECTORY "${PROJECT_SOURCE_DIR}/include/${from}/"
      DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/${to}"
      FILES_MATCHING
      PATTERN "*.h"
      PATTERN "*.hpp")
  endif()
endfunction()
install_headers(quay quay)
install_headers(bsd quay-bsd)
install_headers(illumos quay-illumos)

# Every call that a page names has a page: one line that includes the other. Only aio_read(3) and its like stay libc's.
foreach(section 1 2 3 7)
  file(GLOB pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/man/*.${section}")
  foreach(page IN LISTS pages)
    install(FILES ${page} DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
    cmake_path(GET page FILENAME file)
    file(STRINGS "${page}" lines REGEX "^\\.(Nm [a-z_0-9]+( ,)?|Nd .*)$")
    foreach(line IN LISTS lines)
      if(line MATCHES "^\\.Nd")
        break()
      endif()
      string(REGEX REPLACE "^\\.Nm ([a-z_0-9]+).*" "\\1.${section}" alias "${line}")
      if(NOT EXISTS "${PROJECT_SOURCE_DIR}/docs/man/${alias}" AND NOT alias MATCHES "^(aio|lio)_")
        file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/man/${alias}" CONTENT ".so man${section}/${file}\n")
        install(FILES "${PROJECT_BINARY_DIR}/man/${alias}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
      endif()
    endforeach()
  endforeach()
endforeach()

set(pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
# Absolute folders, as some distributions pass them, stay as they are; the usual relative ones hang on ${prefix}.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH pc_up "/p/${pkgconfig_dir}" "/p")
  string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
  set(pc_prefix "\${pcfiledir}/${pc_up}")
endif()
foreach(folder LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${folder}}")
    set(pc_${folder} "${CMAKE_INSTALL_${folder}}")
  else()
    set(pc_${folder} "\${prefix}/${CMAKE_INSTALL_${folder}}")
  endif()
endforeach()
if(TARGET quay-hooks)
  # One argument keeps these together whatever order a build system brings flags into; the plain -l that follow are for
  # those that look only at those. The library is in it as well: for programs that call nothing of it, since the hooks need
  # it and a program's run path is not searched for what its libraries need; and for builds that put flags before their
  # objects, where --as-needed would drop it.
  set(pc_HOOKS "-Wl,--push-state,--no-as-needed,-lquay-hooks,-lquay,--pop-state -lquay-hooks ")
endif()
foreach(name quay quay-bsd quay-illumos libkqueue)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in" "${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc" DESTINATION "${pkgconfig_dir}")
endforeach()

# libkqueue's names, for programs that look for it without pkg-config.
if(TARGET quay-hooks)
  install(FILES "${PROJECT_SOURCE_DIR}/cmake/libkqueue.ld" RENAME libkqueue.so DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
install(FILES "${PROJECT_SOURCE_DIR}/cmake/libkqueue-event.h" RENAME event.h
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/kqueue/sys")

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/quay")
install(EXPORT quay-targets NAMESPACE quay:: DESTINATION "${package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/quayConfig.cmake.in" "${PROJECT_BINARY_DIR}/quayConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/quayConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/quayConfig.cmake" "${PROJECT_BINARY_DIR}/quayConfigVersion.cmake"
        DESTINATION "${package_dir}")

# `cpack` in the build folder: what `cmake --install` installs, as one tarball.
set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_VENDOR "the quay authors")
set(CPACK_PACKAGE_FILE_NAME "quay-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_STRIP_FILES ON)
include(CPack)
