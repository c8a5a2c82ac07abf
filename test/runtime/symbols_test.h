//===- symbols_test.h - symbol tables against vendors' headers ------------===//
#ifndef ISTHMUS_TEST_RUNTIME_SYMBOLS_TEST_H
#define ISTHMUS_TEST_RUNTIME_SYMBOLS_TEST_H

#include <cstddef>
#include <gtest/gtest.h>
#include <type_traits>

namespace {

/// Passed the same way: pointers, integers and enums of one size are.
template <typename A, typename B> constexpr bool isSameClass() {
  if constexpr (std::is_void_v<A> || std::is_void_v<B>)
    return std::is_void_v<A> && std::is_void_v<B>;
  else
    return std::is_floating_point_v<A> == std::is_floating_point_v<B> &&
           std::is_class_v<A> == std::is_class_v<B> && sizeof(A) == sizeof(B);
}
template <typename A, typename B>
constexpr bool sameClass = isSameClass<A, B>();

template <typename A, typename B> struct Same : std::false_type {};
template <typename R, typename S, typename... A, typename... B>
struct Same<R (*)(A...), S (*)(B...)> {
  static constexpr bool check() {
    if constexpr (sizeof...(A) == sizeof...(B))
      return sameClass<R, S> && (sameClass<A, B> && ...);
    return false;
  }
  static constexpr bool value = check();
};
/// Whether functions of the types A and B are called alike.
template <typename A, typename B> constexpr bool sameAbi = Same<A, B>::value;

#define SAME_PLACE(Ours, member, Theirs, their)                                \
  static_assert(offsetof(Ours, member) == offsetof(Theirs, their), #member);

} // namespace

#endif // ISTHMUS_TEST_RUNTIME_SYMBOLS_TEST_H
