// SPDX-License-Identifier: BSD-2-Clause
//
// What: tells what happens to a file and to the directory it is in.
// Shows: file, file_change, file_event, mounts.
#include <fcntl.h>
#include <unistd.h>
#include <quay/kqueue.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

using quay::file_change;

namespace {

std::string words(file_change changes) {
  struct named {
    file_change bit;
    const char* word;
  };
  constexpr std::array<named, 5> kNames = {{{file_change::written, " written"},
                                            {file_change::attributes, " attributes"},
                                            {file_change::renamed, " renamed"},
                                            {file_change::removed, " removed"},
                                            {file_change::linked, " linked"}}};
  std::string all;
  for (const named& n : kNames) {
    if (any(changes & n.bit)) all += n.word;
  }
  return all;
}

}  // namespace

int main() {
  std::string folder = "/tmp/quay-files-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  const std::string name = folder + "/file";
  const quay::descriptor file(::open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  const quay::descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));

  quay::kqueue q;
  q.apply({quay::file(file.get(), file_change::written | file_change::attributes |
                                      file_change::renamed | file_change::removed),
           quay::file(directory.get(), file_change::written).disabled(), quay::mounts()});

  std::array<quay::event, 4> room;
  const auto tell = [&] {
    for (const quay::event& e : q.wait(room)) {
      e.visit(
          [&](const quay::file_event& f) {
            const char* const which = f.fd() == file.get() ? "file" : "directory";
            std::printf("%s:%s\n", which, words(f.changes()).c_str());
          },
          [](const quay::mount_event&) {}, [](const auto&) {});
    }
  };

  if (::write(file.get(), "text", 4) != 4) return 1;
  tell();
  ::fchmod(file.get(), 0400);
  tell();
  const std::string other = folder + "/other";
  ::rename(name.c_str(), other.c_str());
  tell();
  q.disable(quay::file(file.get(), file_change::removed));
  q.enable(quay::file(directory.get(), file_change::written));
  tell();  // what happened while it was disabled was kept
  ::unlink(other.c_str());
  tell();
  ::rmdir(folder.c_str());
  return 0;
}
