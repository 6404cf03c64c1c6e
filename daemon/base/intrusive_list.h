// A doubly linked list whose nodes live inside the objects: linking never allocates.
//
// The list does not own its elements. An element is in at most one list per Tag, unlinks itself in
// O(1) without knowing the list, and must be unlinked before it ends (asserted).
#pragma once

#include <cassert>
#include <cstddef>

namespace penstock {

struct DefaultListTag;

template <typename Tag = DefaultListTag>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { assert(!is_linked()); }

  bool is_linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }

 private:
  template <typename T, typename U>
  friend class IntrusiveList;
  ListNode* prev_ = nullptr;
  ListNode* next_ = nullptr;
};

template <typename T, typename Tag = DefaultListTag>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  IntrusiveList() { head_.prev_ = head_.next_ = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    assert(empty());
    head_.prev_ = head_.next_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }
  T& front() { return element(*head_.next_); }
  T& back() { return element(*head_.prev_); }
  const T& front() const { return static_cast<const T&>(*head_.next_); }

  void push_front(T& item) { insert_between(node(item), &head_, head_.next_); }
  void push_back(T& item) { insert_between(node(item), head_.prev_, &head_); }
  T* pop_front() { return take(head_.next_); }
  T* pop_back() { return take(head_.prev_); }
  static void remove(T& item) { node(item)->unlink(); }

  // Moves every element of `other` to the end of this list, in order.
  void splice_back(IntrusiveList& other) {
    if (other.empty()) return;
    Node* first = other.head_.next_;
    Node* last = other.head_.prev_;
    other.head_.prev_ = other.head_.next_ = &other.head_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
  }

  class iterator {
   public:
    explicit iterator(Node* at) : at_(at) {}
    T& operator*() const { return element(*at_); }
    T* operator->() const { return &element(*at_); }
    iterator& operator++() {
      at_ = at_->next_;
      return *this;
    }
    iterator& operator--() {
      at_ = at_->prev_;
      return *this;
    }
    bool operator==(const iterator& other) const { return at_ == other.at_; }

   private:
    Node* at_;
  };
  iterator begin() { return iterator(head_.next_); }
  iterator end() { return iterator(&head_); }

 private:
  static Node* node(T& item) { return static_cast<Node*>(&item); }
  static T& element(Node& at) { return static_cast<T&>(at); }
  static void insert_between(Node* item, Node* before, Node* after) {
    assert(!item->is_linked());
    item->prev_ = before;
    item->next_ = after;
    before->next_ = item;
    after->prev_ = item;
  }
  T* take(Node* at) {
    if (at == &head_) return nullptr;
    at->unlink();
    return &element(*at);
  }

  Node head_;
};

}  // namespace penstock
