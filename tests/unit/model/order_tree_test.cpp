// The shape decides which of several buffers beyond a hole is asked first; the rules are those of any textbook.

#include "model/order_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace tcpwhy::model {
namespace {

/// How many stand in order below `at`, from `first` on; -1 where the order or a height is wrong.
int in_order(const OrderTree& tree, int at, int first, int depth, int& deepest) {
  if (at == OrderTree::kNone) return 0;
  deepest = std::max(deepest, depth);
  const int below = in_order(tree, tree.left(at), first, depth + 1, deepest);
  if (below < 0 || first + below != at) return -1;
  const int behind = in_order(tree, tree.right(at), at + 1, depth + 1, deepest);
  return behind < 0 ? -1 : below + 1 + behind;
}

TEST(OrderTree, ThreeInARowHaveTheMiddleOneAsRoot) {
  OrderTree tree;
  for (std::size_t i = 0; i < 3; ++i) tree.insert(i);
  EXPECT_EQ(tree.root(), 1);
  EXPECT_EQ(tree.left(1), 0);
  EXPECT_EQ(tree.right(1), 2);
}

TEST(OrderTree, TwoHaveTheOlderOneAsRoot) {
  OrderTree later_in_front;
  later_in_front.insert(0);
  later_in_front.insert(0);
  EXPECT_EQ(later_in_front.root(), 1);
  OrderTree later_behind;
  later_behind.insert(0);
  later_behind.insert(1);
  EXPECT_EQ(later_behind.root(), 0);
}

// CLRS 13.1: no path is longer than twice the logarithm.
TEST(OrderTree, KeepsOrderAndHeightWhateverComesAndGoes) {
  std::mt19937 random{7};
  OrderTree tree;
  for (int step = 0; step < 20'000; ++step) {
    const bool grow = tree.size() == 0 || (tree.size() < 200 && random() % 5 < 3);
    if (grow)
      tree.insert(random() % (tree.size() + 1));
    else
      tree.erase(random() % tree.size());
    int deepest = 0;
    ASSERT_EQ(in_order(tree, tree.root(), 0, 1, deepest), static_cast<int>(tree.size()));
    ASSERT_LE(deepest, 2 * std::log2(static_cast<double>(tree.size()) + 1) + 1e-9);
  }
}

}  // namespace
}  // namespace tcpwhy::model
