// SPDX-License-Identifier: BSD-2-Clause
//
// What: gives the precompiled headers of the tests a target to belong to.
