// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_FILE: what happens to files and directories, and the stamps of an association.
// Contract: event port semantics 2.2, 2.3 and 4.2.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "support/mounts.hpp"
#include "support/port.hpp"

namespace quay::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class Port_File : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "quay-port-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    name_ = folder_ / "file";
    change();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void change() { std::ofstream(name_, std::ios::app) << "more"; }
  void touch() { ASSERT_EQ(::utimensat(AT_FDCWD, name_.c_str(), nullptr, 0), 0); }
  // Stamps of the file as it is.
  void stamp(file_obj_t& object) const {
    struct stat st {};
    ASSERT_EQ(::stat(name_.c_str(), &st), 0);
    object.fo_atime = st.st_atim;
    object.fo_mtime = st.st_mtim;
    object.fo_ctime = st.st_ctim;
  }
  int watch(file_obj_t& object, int events, uintptr_t user = 0, const fs::path& name = {}) {
    text_ = name.empty() ? name_.string() : name.string();
    object.fo_name = text_.data();
    return ::port_associate(port_, PORT_SOURCE_FILE, reinterpret_cast<uintptr_t>(&object), events,
                            cookie(user));
  }
  int unwatch(file_obj_t& object) {
    return ::port_dissociate(port_, PORT_SOURCE_FILE, reinterpret_cast<uintptr_t>(&object));
  }
  auto event(const file_obj_t& object, int events, uintptr_t user = 0) {
    return Is(PORT_SOURCE_FILE, events, reinterpret_cast<uintptr_t>(&object), user);
  }

  test_port port_;
  fs::path folder_;
  fs::path name_;
  std::string text_;
  file_obj_t object_{};
  file_obj_t second_{};
};

TEST_F(Port_File, NothingComesUnlessSomethingHappens) {
  touch();
  ASSERT_THAT(watch(object_, FILE_ATTRIB | FILE_MODIFIED), Works());
  EXPECT_THAT(taken(port_), IsEmpty());
}

TEST_F(Port_File, ReportsOnceWhatWasAskedFor) {
  ASSERT_THAT(watch(object_, FILE_ATTRIB, 1), Works());
  touch();
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 1)));
  touch();
  EXPECT_THAT(taken(port_), IsEmpty());
}

TEST_F(Port_File, WritingModifiesAndMovesTheChangeTime) {
  ASSERT_THAT(watch(object_, FILE_MODIFIED | FILE_ATTRIB), Works());
  change();
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_MODIFIED | FILE_ATTRIB)));
}

TEST_F(Port_File, ReadingIsAccess) {
  ASSERT_THAT(watch(object_, FILE_ACCESS), Works());
  std::string word;
  std::ifstream(name_) >> word;
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ACCESS)));
}

TEST_F(Port_File, ShrinkingTruncates) {
  ASSERT_THAT(watch(object_, FILE_TRUNC, 1), Works());
  ASSERT_THAT(watch(second_, FILE_MODIFIED, 2), Works());
  ASSERT_EQ(::truncate(name_.c_str(), 1), 0);
  // In the order of the associations.
  EXPECT_THAT(arrivals(port_, 2),
              ElementsAre(event(object_, FILE_TRUNC, 1), event(second_, FILE_MODIFIED, 2)));
}

TEST_F(Port_File, TheLatestAssociationCounts) {
  watch(object_, FILE_ATTRIB, 1);
  watch(object_, FILE_ATTRIB, 2);
  touch();
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 2)));
}

TEST_F(Port_File, OldStampsFireAtOnce) {
  stamp(object_);
  touch();
  ASSERT_THAT(watch(object_, FILE_ATTRIB, 1), Works());
  EXPECT_THAT(taken(port_), ElementsAre(event(object_, FILE_ATTRIB, 1)));
}

TEST_F(Port_File, StampsOfWhatWasNotAskedForDoNotMatter) {
  stamp(object_);
  object_.fo_mtime.tv_sec -= 100;
  ASSERT_THAT(watch(object_, FILE_ATTRIB), Works());
  EXPECT_THAT(taken(port_), IsEmpty());
  object_.fo_ctime.tv_sec += 100;  // newer than the file is different, too
  ASSERT_THAT(watch(object_, FILE_ATTRIB), Works());
  EXPECT_THAT(taken(port_), ElementsAre(event(object_, FILE_ATTRIB)));
}

TEST_F(Port_File, AssociatingAgainCancelsAndFiresByStamps) {
  stamp(object_);
  watch(object_, FILE_ATTRIB, 1);
  touch();
  watch(object_, FILE_ATTRIB, 2);
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 2)));
}

TEST_F(Port_File, DissociatingCancels) {
  EXPECT_THAT(unwatch(object_), Fails(EINVAL));
  stamp(object_);
  watch(object_, FILE_ATTRIB, 1);
  EXPECT_THAT(unwatch(second_), Fails(ENOENT));
  touch();
  EXPECT_THAT(unwatch(object_), Works());
  EXPECT_THAT(taken(port_), IsEmpty());
  watch(object_, FILE_ATTRIB, 2);
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 2)));
  EXPECT_THAT(unwatch(object_), Fails(ENOENT));
}

TEST_F(Port_File, FreshStampsAfterDissociatingAreQuiet) {
  stamp(object_);
  watch(object_, FILE_ATTRIB, 1);
  touch();
  unwatch(object_);
  stamp(object_);
  watch(object_, FILE_ATTRIB, 2);
  EXPECT_THAT(taken(port_), IsEmpty());
}

TEST_F(Port_File, NoBitsOfACancelledEventRemain) {
  watch(object_, FILE_MODIFIED, 1);
  change();
  EXPECT_EQ(queued(port_), 1u);
  watch(object_, FILE_ATTRIB, 2);
  touch();
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 2)));
}

TEST_F(Port_File, DeletingIsToldUnasked) {
  ASSERT_THAT(watch(object_, 0, 1), Works());
  fs::remove(name_);
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_DELETE, 1)));
  EXPECT_THAT(unwatch(object_), Fails(ENOENT));
  EXPECT_THAT(watch(object_, 0), Fails(ENOENT));
  change();
  EXPECT_THAT(watch(object_, FILE_ATTRIB), Works());
}

TEST_F(Port_File, RenamingAwayIsToldUnasked) {
  ASSERT_THAT(watch(object_, 0, 1), Works());
  fs::rename(name_, folder_ / "other");
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_RENAME_FROM, 1)));
}

TEST_F(Port_File, RenamingOverItIsToldUnasked) {
  std::ofstream(folder_ / "other") << "x";
  ASSERT_THAT(watch(object_, 0, 1), Works());
  fs::rename(folder_ / "other", name_);
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_RENAME_TO, 1)));
}

TEST_F(Port_File, AnExceptionCanBeCancelled) {
  watch(object_, 0, 1);
  fs::remove(name_);
  EXPECT_EQ(queued(port_), 1u);
  EXPECT_THAT(unwatch(object_), Works());
  EXPECT_THAT(taken(port_), IsEmpty());
}

TEST_F(Port_File, AnExceptionJoinsTheEventThatWaits) {
  watch(object_, FILE_ATTRIB, 1);
  touch();
  EXPECT_EQ(queued(port_), 1u);
  fs::remove(name_);
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB | FILE_DELETE, 1)));
}

TEST_F(Port_File, RemovingAnotherNameIsOnlyAnAttribute) {
  fs::create_hard_link(name_, folder_ / "link");
  watch(object_, FILE_ATTRIB, 1);
  fs::remove(folder_ / "link");
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 1)));
}

TEST_F(Port_File, ADirectoryIsModifiedByItsEntriesOnly) {
  ASSERT_THAT(watch(object_, FILE_MODIFIED, 1, folder_), Works());
  change();
  EXPECT_THAT(taken(port_), IsEmpty());
  fs::create_directory(folder_ / "new");
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_MODIFIED, 1)));
}

TEST_F(Port_File, ArgumentsAreChecked) {
  EXPECT_THAT(watch(object_, FILE_DELETE), Fails(EINVAL));
  EXPECT_THAT(watch(object_, 0, 0, folder_ / "absent"), Fails(ENOENT));
  EXPECT_THAT(watch(object_, 0, 0, name_ / "below"), Fails(ENOTDIR));
  EXPECT_THAT(::port_associate(port_, PORT_SOURCE_FILE, 0, 0, nullptr), Fails(EFAULT));
  object_.fo_name = nullptr;
  EXPECT_THAT(
      ::port_associate(port_, PORT_SOURCE_FILE, reinterpret_cast<uintptr_t>(&object_), 0, nullptr),
      Fails(EFAULT));
}

TEST_F(Port_File, ALinkItselfCanBeWatched) {
  fs::create_symlink(name_, folder_ / "link");
  ASSERT_THAT(watch(object_, FILE_ATTRIB | FILE_NOFOLLOW, 1, folder_ / "link"), Works());
  touch();
  EXPECT_THAT(taken(port_), IsEmpty());
  fs::remove(folder_ / "link");
  const auto events = arrivals(port_);
  ASSERT_THAT(events, testing::SizeIs(1));
  EXPECT_NE(events[0].portev_events & FILE_DELETE, 0);
}

// In processes that may mount, each with a port of its own.
TEST(Port_FileMounts, SomethingMountedOnADirectoryIsToldUnasked) {
  with_mounts([](const std::string& where) {
    const test_port port;
    std::string text = where;
    file_obj_t object{};
    object.fo_name = text.data();
    const auto address = reinterpret_cast<uintptr_t>(&object);
    EXPECT_THAT(::port_associate(port, PORT_SOURCE_FILE, address, 0, cookie(1)), Works());
    EXPECT_TRUE(mount_at(where));
    EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FILE, MOUNTEDOVER, address, 1)));
    // The watch is gone; by the same name the new directory is watched.
    EXPECT_THAT(::port_dissociate(port, PORT_SOURCE_FILE, address), Fails(ENOENT));
    EXPECT_THAT(::port_associate(port, PORT_SOURCE_FILE, address, 0, cookie(2)), Works());
    EXPECT_EQ(::umount(where.c_str()), 0);
    EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FILE, UNMOUNTED, address, 2)));
    return true;
  });
}

TEST(Port_FileMounts, MountsElsewhereAreNotTold) {
  with_mounts([](const std::string& where) {
    const fs::path inner = fs::path(where) / "with space";
    fs::create_directory(inner);
    const test_port port;
    std::string outer = where;
    std::string text = inner.string();
    file_obj_t above{};
    file_obj_t object{};
    above.fo_name = outer.data();
    object.fo_name = text.data();
    for (file_obj_t* each : {&above, &object}) {
      EXPECT_THAT(
          ::port_associate(port, PORT_SOURCE_FILE, reinterpret_cast<uintptr_t>(each), 0, nullptr),
          Works());
    }
    EXPECT_TRUE(mount_at(inner.string()));
    const auto events = arrivals(port);
    EXPECT_EQ(events.size(), 1u);
    EXPECT_EQ(events.empty() ? 0 : events[0].portev_object, reinterpret_cast<uintptr_t>(&object));
    ::umount(inner.c_str());
    fs::remove(inner);
    return true;
  });
}

TEST_F(Port_File, AfterAnExceptionTheAddressIsFree) {
  ASSERT_THAT(watch(object_, 0, 1), Works());
  fs::remove(name_);
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_DELETE, 1)));
  EXPECT_THAT(unwatch(object_), Fails(ENOENT));
  change();  // a new file of that name
  ASSERT_THAT(watch(object_, FILE_ATTRIB, 2), Works());
  touch();
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 2)));
}

TEST_F(Port_File, TheSameAddressWithAnotherNameIsAnotherWatch) {
  ASSERT_THAT(watch(object_, FILE_ATTRIB, 1), Works());
  const fs::path other = folder_ / "other";
  std::ofstream(other) << "text";
  ASSERT_THAT(watch(object_, FILE_ATTRIB, 2, other), Works());
  touch();
  EXPECT_THAT(taken(port_), IsEmpty());
  ASSERT_EQ(::utimensat(AT_FDCWD, other.c_str(), nullptr, 0), 0);
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 2)));
}

TEST_F(Port_File, TheNameIsReadOnceAndMayGo) {
  ASSERT_THAT(watch(object_, FILE_ATTRIB, 1), Works());
  text_ = "/nowhere";
  object_.fo_name = nullptr;
  touch();
  EXPECT_THAT(arrivals(port_), ElementsAre(event(object_, FILE_ATTRIB, 1)));
}

// The first association of a port makes what all of its files share.
TEST_F(Port_File, TwoThreadsMayBeTheFirst) {
  for (int round = 0; round < 200; ++round) {
    const test_port port;
    std::string text = name_.string();
    file_obj_t objects[2] = {};
    std::atomic<int> ready{0};
    const auto first = [&](file_obj_t& object) {
      object.fo_name = text.data();
      ++ready;
      while (ready < 2) continue;
      return ::port_associate(port, PORT_SOURCE_FILE, reinterpret_cast<uintptr_t>(&object),
                              FILE_ATTRIB, nullptr);
    };
    std::thread other([&] { EXPECT_THAT(first(objects[1]), Works()); });
    EXPECT_THAT(first(objects[0]), Works());
    other.join();
    touch();
    ASSERT_EQ(arrivals(port, 2).size(), 2U) << "round " << round;
  }
}

TEST_F(Port_File, AWatchCountsAgainstTheLimit) {
  const long before = quay_tunable_get("port_max_events");
  quay_tunable_set("port_max_events", 1);
  const test_port small;
  quay_tunable_set("port_max_events", before);
  text_ = name_.string();
  object_.fo_name = text_.data();
  const auto first = reinterpret_cast<uintptr_t>(&object_);
  second_.fo_name = object_.fo_name;
  const auto second = reinterpret_cast<uintptr_t>(&second_);
  ASSERT_THAT(::port_associate(small, PORT_SOURCE_FILE, first, FILE_ATTRIB, nullptr), Works());
  EXPECT_THAT(::port_associate(small, PORT_SOURCE_FILE, second, FILE_ATTRIB, nullptr),
              Fails(EAGAIN));
  // Its exception needs no other slot.
  fs::remove(name_);
  EXPECT_THAT(arrivals(small),
              ElementsAre(Is(PORT_SOURCE_FILE, FILE_ATTRIB | FILE_DELETE, first, 0u)));
  EXPECT_THAT(::port_send(small, 1, nullptr), Works());
}

TEST_F(Port_File, OthersWatchesAreUnknown) {
  ASSERT_THAT(watch(object_, FILE_ATTRIB, 1), Works());
  touch();
  EXPECT_EQ(queued(port_), 1u);
  EXPECT_TRUE(in_child([&] {
    if (!taken(port_).empty()) return false;
    file_obj_t own = object_;
    if (watch(own, FILE_ATTRIB) != 0) return false;  // its own source is in use now
    return unwatch(object_) == -1 && errno == ENOENT;
  }));
  EXPECT_THAT(taken(port_), ElementsAre(event(object_, FILE_ATTRIB, 1)));
}

}  // namespace
}  // namespace quay::test
