// IntrusiveList: order, unlinking from within, and one object in two lists by tags.
#include "base/intrusive_list.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace penstock {
namespace {

struct ByAge;
struct Item : ListNode<>, ListNode<ByAge> {
  explicit Item(char the_name) : name(the_name) {}
  ~Item() {
    ListNode<>::unlink();
    ListNode<ByAge>::unlink();
  }
  const char name;
};
using List = IntrusiveList<Item, DefaultListTag>;
using AgeList = IntrusiveList<Item, ByAge>;

template <typename L>
std::string names(L& list) {
  std::string all;
  for (Item& item : list) all += item.name;
  return all;
}

class IntrusiveListTest : public testing::Test {
 protected:
  List list_;
  Item a_{'a'}, b_{'b'}, c_{'c'};
};

TEST_F(IntrusiveListTest, KeepsTheOrderOfPushes) {
  list_.push_back(b_);
  list_.push_back(c_);
  list_.push_front(a_);
  EXPECT_EQ(names(list_), "abc");
  EXPECT_EQ(list_.front().name, 'a');
  EXPECT_EQ(list_.back().name, 'c');
}

TEST_F(IntrusiveListTest, PopsFromBothEndsUntilEmpty) {
  for (Item* item : {&a_, &b_, &c_}) list_.push_back(*item);
  EXPECT_EQ(list_.pop_front(), &a_);
  EXPECT_EQ(list_.pop_back(), &c_);
  EXPECT_EQ(list_.pop_front(), &b_);
  EXPECT_EQ(list_.pop_front(), nullptr);
  EXPECT_EQ(list_.pop_back(), nullptr);
  EXPECT_TRUE(list_.empty());
}

TEST_F(IntrusiveListTest, LosesAnItemThatUnlinksItself) {
  for (Item* item : {&a_, &b_, &c_}) list_.push_back(*item);
  List::remove(b_);
  EXPECT_EQ(names(list_), "ac");
  List::remove(b_);
  EXPECT_EQ(names(list_), "ac");
  list_.push_front(b_);
  EXPECT_EQ(names(list_), "bac");
}

TEST_F(IntrusiveListTest, LosesAnItemThatEnds) {
  list_.push_back(a_);
  {
    Item brief('x');
    list_.push_back(brief);
    list_.push_back(b_);
    EXPECT_EQ(names(list_), "axb");
  }
  EXPECT_EQ(names(list_), "ab");
}

TEST_F(IntrusiveListTest, HoldsAnItemInOneListPerTag) {
  AgeList ages;
  list_.push_back(a_);
  list_.push_back(b_);
  ages.push_back(b_);
  ages.push_back(a_);
  EXPECT_EQ(names(list_), "ab");
  EXPECT_EQ(names(ages), "ba");
  List::remove(a_);
  EXPECT_EQ(names(list_), "b");
  EXPECT_EQ(names(ages), "ba");
  AgeList::remove(a_);
  AgeList::remove(b_);
}

TEST_F(IntrusiveListTest, TakesOverAnotherListInOrder) {
  List other;
  list_.push_back(a_);
  list_.splice_back(other);
  EXPECT_EQ(names(list_), "a");
  other.push_back(b_);
  other.push_back(c_);
  list_.splice_back(other);
  EXPECT_EQ(names(list_), "abc");
  EXPECT_TRUE(other.empty());
  List::remove(c_);
  other.push_back(c_);
  EXPECT_EQ(names(other), "c");
  List::remove(c_);
}

#ifndef NDEBUG
TEST(IntrusiveListDeathTest, ReportsAListThatEndsWithItems) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Item item('x');
        List list;
        list.push_back(item);
      },
      "empty");
}
#endif

}  // namespace
}  // namespace penstock
