/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: a static assertion that every dialect of these tests has, C90 among them.
 */
#ifndef QUAY_TESTS_STATIC_CHECK_H_
#define QUAY_TESTS_STATIC_CHECK_H_

#define QUAY_JOINED(a, b) a##b
#define QUAY_JOIN(a, b) QUAY_JOINED(a, b)

/* An array of -1 elements does not compile; one that is only declared occupies nothing. */
#define STATIC_CHECK(condition) extern char QUAY_JOIN(static_check_, __LINE__)[(condition) ? 1 : -1]

#endif /* QUAY_TESTS_STATIC_CHECK_H_ */
