#pragma once
// The shape of a red-black tree over things that are kept in order elsewhere. A kernel that looks for a place in such a
// tree asks those on the way from the root first, so what it finds there depends on the shape, and the shape on the order
// in which they came and went. Linux lib/rbtree.c, whose balancing is the textbook's.

#include <cstddef>
#include <vector>

namespace tcpwhy::model {

class OrderTree {
 public:
  static constexpr int kNone = -1;
  [[nodiscard]] int root() const { return root_; }
  [[nodiscard]] int left(int at) const { return nodes_[index(at)].child[0]; }
  [[nodiscard]] int right(int at) const { return nodes_[index(at)].child[1]; }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

  /// A new one stands at `at`; those from there on have moved up by one.
  void insert(std::size_t at);
  /// The one at `at` is gone, and those behind it have moved down by one.
  void erase(std::size_t at);

 private:
  struct Node {
    int parent = kNone;
    int child[2] = {kNone, kNone};
    bool red = true;
  };
  static std::size_t index(int at) { return static_cast<std::size_t>(at); }
  Node& node(int at) { return nodes_[index(at)]; }
  [[nodiscard]] bool red(int at) const { return at != kNone && nodes_[index(at)].red; }
  [[nodiscard]] int side(int at) const { return nodes_[index(nodes_[index(at)].parent)].child[1] == at; }
  void renumber(int from, int by);
  void replace(int old, int by);
  void rotate(int at, int towards);
  void balance_after_insert(int at);
  void balance_after_erase(int at, int parent);

  std::vector<Node> nodes_;
  int root_ = kNone;
};

}  // namespace tcpwhy::model
