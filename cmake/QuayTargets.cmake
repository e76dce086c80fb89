# SPDX-License-Identifier: BSD-2-Clause
#
# What: the few helpers by which the folders declare their targets.

# quay_sources(<out> <pattern>...): the files of this folder that match, found again whenever the folder changes.
function(quay_sources out)
  list(TRANSFORM ARGN PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${ARGN})
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# quay_flat_sources: the same without entering sub-folders.
function(quay_flat_sources out)
  list(TRANSFORM ARGN PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  file(GLOB found CONFIGURE_DEPENDS ${ARGN})
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# quay_need_hooks(<target>): consumers of <target> carry libquay-hooks among their own dependencies, wanted or not by the
# linker. The hooks work only from there: as a dependency of a dependency they come after libc and catch nothing, and a
# program that never calls close() itself would lose them to --as-needed. So would one that calls nothing of libquay lose
# that, which the hooks need and do not find by the program's run path. A link option makes no dependency, hence the
# plain link as well; it is written twice because an export renames targets only outside of $<TARGET_FILE:...>.
function(quay_need_hooks target)
  target_link_libraries(${target} INTERFACE quay-hooks)
  target_link_options(
    ${target} INTERFACE
    "$<BUILD_INTERFACE:LINKER:--push-state,--no-as-needed,$<TARGET_FILE:quay-hooks>,$<TARGET_FILE:quay>,--pop-state>"
    "$<INSTALL_INTERFACE:LINKER:--push-state,--no-as-needed,$<TARGET_FILE:quay::hooks>,$<TARGET_FILE:quay::quay>,--pop-state>")
endfunction()
