# SPDX-License-Identifier: BSD-2-Clause
#
# What: how a folder of GoogleTest sources becomes a program and its tests.
# Contract: tests are listed when ctest runs, not when the program is linked, so that a program is only ever started by
# whoever set its environment up.

include(GoogleTest)

# quay_add_gtest(<name> LABEL <label> SOURCES <file>... LINK <library>... [PREFIX <text>] [TIMEOUT <s>] [PROCESSORS <n>])
# A source may be an object library's $<TARGET_OBJECTS:...>.
function(quay_add_gtest name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;PREFIX;TIMEOUT;PROCESSORS" "SOURCES;LINK")
  if(NOT arg_SOURCES)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  add_executable(${name} ${arg_SOURCES})
  # The main of gmock_main is taken only where the sources bring none.
  target_link_libraries(${name} PRIVATE quay_test_support quay_test_common ${arg_LINK}
                                        GTest::gmock_main)
  target_precompile_headers(${name} REUSE_FROM quay_test_support)
  if(QUAY_SANITIZE)
    # A thread that is cancelled inside one of the thread sanitizer's interceptors is unwound past its end: from then on
    # the sanitizer misses the thread's locks and reports races that are none. Its own fstat() stands before the hooks', and it
    # runs handlers late, uncounted. Threads that a forked child starts may not run at all, and its parent's
    # count as leaked; and a child that is executed instruction by instruction takes for ever.
    set(left_out)
    if(QUAY_SANITIZE STREQUAL "thread")
      set(left_out "GTEST_FILTER=-*Cancel*.*:*WithTheHooksLibcAnswersTheSame*:*AStormAtManyThreads*:*Kqueue_Fs.AWaiterIsWoken*:Fork_FirstUse.*:Pipe_AnyInstruction.*")
    endif()
    # A sanitizer's program takes long to start: a few processes run all tests of the program.
    foreach(shard RANGE 7)
      add_test(NAME "${arg_PREFIX}${name}/${shard}" COMMAND ${name})
      set_tests_properties(
        "${arg_PREFIX}${name}/${shard}"
        PROPERTIES LABELS "${arg_LABEL}" TIMEOUT 300 PROCESSORS ${arg_PROCESSORS} ENVIRONMENT
                   "GTEST_TOTAL_SHARDS=8;GTEST_SHARD_INDEX=${shard};${left_out}")
    endforeach()
    return()
  endif()
  gtest_discover_tests(
    ${name}
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    NO_PRETTY_VALUES
    TEST_PREFIX "${arg_PREFIX}"
    PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT} PROCESSORS ${arg_PROCESSORS})
endfunction()

# quay_add_script_test(<name> COMMAND <word>... [TIMEOUT <s>] [PROCESSORS <n>]): a check of the house; exit status 77 skips.
function(quay_add_script_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT;PROCESSORS" "COMMAND")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS house TIMEOUT ${arg_TIMEOUT} PROCESSORS ${arg_PROCESSORS}
                                          SKIP_RETURN_CODE 77)
endfunction()
