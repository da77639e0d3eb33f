#include "model/order_tree.hpp"

namespace tcpwhy::model {

void OrderTree::renumber(int from, int by) {
  const auto moved = [&](int& at) {
    if (at >= from) at += by;
  };
  moved(root_);
  for (Node& n : nodes_) moved(n.parent), moved(n.child[0]), moved(n.child[1]);
}

/// `by`, which may be none, stands where `old` stood below its parent.
void OrderTree::replace(int old, int by) {
  const int parent = node(old).parent;
  if (parent == kNone)
    root_ = by;
  else
    node(parent).child[side(old)] = by;
  if (by != kNone) node(by).parent = parent;
}

void OrderTree::rotate(int at, int towards) {
  const int up = node(at).child[1 - towards];
  const int across = node(up).child[towards];
  replace(at, up);
  node(up).child[towards] = at;
  node(at).parent = up;
  node(at).child[1 - towards] = across;
  if (across != kNone) node(across).parent = at;
}

// Of two neighbours one lies below the other, so that exactly one of them has a free place on the side of the new one.
void OrderTree::insert(std::size_t where) {
  const int at = static_cast<int>(where);
  renumber(at, 1);
  nodes_.insert(nodes_.begin() + at, Node{});
  if (nodes_.size() == 1) {
    root_ = at;
  } else if (at > 0 && node(at - 1).child[1] == kNone) {
    node(at).parent = at - 1;
    node(at - 1).child[1] = at;
  } else {
    node(at).parent = at + 1;
    node(at + 1).child[0] = at;
  }
  balance_after_insert(at);
}

void OrderTree::balance_after_insert(int at) {
  while (red(node(at).parent)) {
    int parent = node(at).parent;
    const int above = node(parent).parent;
    const int side_of_parent = side(parent);
    if (const int uncle = node(above).child[1 - side_of_parent]; red(uncle)) {
      node(parent).red = node(uncle).red = false;
      node(above).red = true;
      at = above;
      continue;
    }
    if (side(at) != side_of_parent) {
      rotate(parent, side_of_parent);
      parent = at;
    }
    node(parent).red = false;
    node(above).red = true;
    rotate(above, 1 - side_of_parent);
    break;
  }
  node(root_).red = false;
}

void OrderTree::erase(std::size_t where) {
  const int at = static_cast<int>(where);
  const Node gone = node(at);
  int child, parent;
  bool was_red;
  if (gone.child[0] == kNone || gone.child[1] == kNone) {
    child = gone.child[0] == kNone ? gone.child[1] : gone.child[0];
    parent = gone.parent;
    was_red = gone.red;
    replace(at, child);
  } else {
    const int next = at + 1;
    child = node(next).child[1];
    parent = node(next).parent == at ? next : node(next).parent;
    was_red = node(next).red;
    if (parent != next) {
      replace(next, child);
      node(next).child[1] = gone.child[1];
      node(gone.child[1]).parent = next;
    }
    replace(at, next);
    node(next).child[0] = gone.child[0];
    node(gone.child[0]).parent = next;
    node(next).red = gone.red;
  }
  if (!was_red) balance_after_erase(child, parent);
  nodes_.erase(nodes_.begin() + at);
  renumber(at + 1, -1);
}

/// Below `parent`, on the side of `at`, a black one is missing.
void OrderTree::balance_after_erase(int at, int parent) {
  while (at != root_ && !red(at)) {
    const int here = node(parent).child[0] == at ? 0 : 1, there = 1 - here;
    int sibling = node(parent).child[there];
    if (red(sibling)) {
      node(sibling).red = false;
      node(parent).red = true;
      rotate(parent, here);
      sibling = node(parent).child[there];
    }
    if (!red(node(sibling).child[0]) && !red(node(sibling).child[1])) {
      node(sibling).red = true;
      at = parent;
      parent = node(at).parent;
      continue;
    }
    if (!red(node(sibling).child[there])) {
      node(node(sibling).child[here]).red = false;
      node(sibling).red = true;
      rotate(sibling, there);
      sibling = node(parent).child[there];
    }
    node(sibling).red = node(parent).red;
    node(parent).red = false;
    node(node(sibling).child[there]).red = false;
    rotate(parent, here);
    at = root_;
  }
  if (at != kNone) node(at).red = false;
}

}  // namespace tcpwhy::model
