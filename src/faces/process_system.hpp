// SPDX-License-Identifier: BSD-2-Clause
//
// What: where the faces and the hooks find the process's kqueue system.
#pragma once

#include "kqueue/system.hpp"
#include "pipe/named.hpp"
#include "pipe/system.hpp"
#include "port/system.hpp"

namespace quay::faces {

// Made at first use; never destroyed.
kqueue::system& process_system() noexcept;
pipe::system& process_pipes() noexcept;
pipe::named& process_fifos() noexcept;
// Null while no queue was ever made: hooks look here and make nothing. Signal-safe.
kqueue::system* existing_system() noexcept;

// The process's event ports; made at first use, never destroyed.
port::system& process_ports() noexcept;
port::system* existing_ports() noexcept;  // null while there never was one

// Every number that one of our systems made or watches. Signal-safe.
core::descriptor_table& descriptors() noexcept;

// Where other processes find what there is; see core/catalogue.hpp.
core::catalogue& catalogue() noexcept;

// In the child of a fork that ran no handlers: does what they do. Else one load.
void notice_fork() noexcept;

// The process that the system belongs to; a vfork child that shares its memory is another.
int system_pid() noexcept;

int set_tunable(const char* name, long value) noexcept;  // errno
long get_tunable(const char* name) noexcept;             // -1: no such name

}  // namespace quay::faces
