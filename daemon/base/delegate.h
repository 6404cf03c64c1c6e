// A callback that owns nothing: an object and one of its member functions, two words, no heap.
//
// Whoever hands one out outlives it or cancels what would call it.
#pragma once

#include <utility>

namespace penstock {

template <typename Signature>
class Delegate;

template <typename R, typename... Args>
class Delegate<R(Args...)> {
 public:
  Delegate() = default;

  // Delegate<void()>::to<&Exchange::on_deadline>(*this)
  template <auto Method, typename T>
  static Delegate to(T& object) {
    Delegate delegate;
    delegate.object_ = &object;
    delegate.call_ = [](void* target, Args... args) -> R {
      return (static_cast<T*>(target)->*Method)(std::forward<Args>(args)...);
    };
    return delegate;
  }

  explicit operator bool() const { return call_ != nullptr; }
  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_ = nullptr;
  R (*call_)(void*, Args...) = nullptr;
};

}  // namespace penstock
