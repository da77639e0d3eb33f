#pragma once
// Options whose value is one of a few words.

#include <CLI/CLI.hpp>

#include <map>
#include <string>
#include <utility>

namespace tcpwhy::cli {

/// The help names the words itself: CLI11 would print what they stand for.
template <class T>
CLI::Validator choice(std::map<std::string, T> words) {
  return CLI::Transformer(std::move(words)).description("");
}

}  // namespace tcpwhy::cli
