// SPDX-License-Identifier: BSD-2-Clause
//
// What: the catalogue: a memory file in which the process says where its objects lie and what their
//       fields mean, for `quay stat` in another process.
// Contract: the reader takes what it wants out of this process's memory, as the kernel lets it; this
//           process runs nothing for it and counts nothing twice: fields are shown where they live.
//           What is read is of no single moment.
// Invariants:
//   1. Names and numbers only; their places (struct contents) change with kVersion alone. A reader
//      believes none of them.
//   2. A kind is complete before an entry names it, an entry before its object is not 0; neither is
//      ever taken back. Objects that are recycled stay, and a field says whether one is in use.
//   3. The mapping is private: a child of fork has the copy that describes its own copies.
// Ownership: the mapping lives as long as the process; no descriptor of it stays open, no path leads
//            to it.
// Locking: none to show an object of a known kind; the first of its kind is shown by one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace quay::core {

class catalogue {
 public:
  // The file as it lies in memory.
  static constexpr char kName[] = "quay-catalogue";
  static constexpr std::uint64_t kMagic = 0x6c61746163796175;
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::uint32_t kMostKinds = 24;
  static constexpr std::uint32_t kMostFields = 40;
  static constexpr std::uint32_t kMostEntries = 16384;  // what is made after these is not shown

  enum class form : std::uint32_t {
    number,   // unsigned
    integer,  // signed
    yes_no,
    address,
    named,       // address of something that begins with the address of its name
    internal,    // not shown: where to look on
    in_use,      // not shown: there is an object (now) when one of these is not 0
    not_in_use,  // the opposite
  };
  struct field {
    char name[24];
    std::uint32_t offset;   // in the object, or
    std::uint16_t through;  // in what field through - 1 is the address of
    std::uint16_t bytes;
    form how;
  };
  struct kind {
    char name[20];
    std::uint32_t fields;
    field field_at[kMostFields];
  };
  struct entry {
    std::uint64_t object;
    std::uint64_t stride;  // 0: one object; else the size of a slot
    std::uint64_t slots;   // address of the 32-bit count of slots
    std::uint32_t kind;
    std::uint32_t first_slot;  // the ones before it are none
  };
  struct contents {
    std::uint64_t magic;
    std::uint32_t version;
    std::atomic<std::uint32_t> kinds;
    std::atomic<std::uint32_t> entries;
    std::uint32_t reserved;
    kind kind_at[kMostKinds];
    entry entry_at[kMostEntries];
  };

  // An object to be shown: the name of its kind, where it is, its fields.
  class description {
   public:
    description(const char* kind_name, const void* object) noexcept;

    template <class T>
    description& add(const char* name, const T& member, form how = form_of<T>()) noexcept {
      return add(name, offset_of(&member, object_), sizeof(T), how);
    }
    // A member that is not in the object but in what it refers to; the first makes that known. `like`
    // is laid out as what `pointer` will be the address of.
    template <class T, class Like>
    description& add_behind(const char* name, Like* const& pointer, const Like& like,
                            const T& member) noexcept {
      const std::uint32_t at = offset_of(&pointer, object_);
      if (through_ == 0 || what_.field_at[through_ - 1].offset != at) {
        add("", at, sizeof pointer, form::internal);
        through_ = static_cast<std::uint16_t>(what_.fields);
      }
      add(name, offset_of(&member, &like), sizeof(T), form_of<T>());
      what_.field_at[what_.fields - 1].through = through_;
      return *this;
    }

   private:
    friend class catalogue;

    template <class T>
    static constexpr form form_of() noexcept {
      if constexpr (requires { typename T::value_type; }) {  // std::atomic
        return form_of<typename T::value_type>();
      } else if constexpr (std::is_same_v<T, bool>) {
        return form::yes_no;
      } else if constexpr (std::is_pointer_v<T>) {
        return form::address;
      } else if constexpr (std::is_enum_v<T>) {
        return form_of<std::underlying_type_t<T>>();
      } else {
        static_assert(std::is_integral_v<T>);
        return std::is_signed_v<T> ? form::integer : form::number;
      }
    }
    static std::uint32_t offset_of(const void* member, const void* object) noexcept {
      return static_cast<std::uint32_t>(static_cast<const char*>(member) -
                                        static_cast<const char*>(object));
    }
    description& add(const char* name, std::uint32_t offset, std::size_t bytes, form how) noexcept;

    const void* object_;
    std::uint16_t through_ = 0;
    kind what_{};
  };

  constexpr catalogue() noexcept = default;
  catalogue(const catalogue&) = delete;
  catalogue& operator=(const catalogue&) = delete;

  // Before anything is shown. Where memory files are refused nothing will be.
  void open() noexcept;
  void show(const description& d) noexcept { show(d, d.object_, 0, nullptr, 0); }
  // Slots of which the described object is a sample.
  void show_slots(const description& sample, const void* first, std::size_t stride,
                  const std::uint32_t& slots, std::uint32_t first_slot) noexcept {
    show(sample, first, stride, &slots, first_slot);
  }

 private:
  void show(const description& d, const void* first, std::size_t stride, const std::uint32_t* slots,
            std::uint32_t first_slot) noexcept;
  std::uint32_t kind_number(const kind& k) noexcept;

  contents* contents_ = nullptr;  // set while starting
};

}  // namespace quay::core
