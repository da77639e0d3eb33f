#pragma once
// What every command does with its arguments, in one way.

#include <CLI/CLI.hpp>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tcpwhy::cli {

/// Options whose value is one of a few words. The help names the words itself: CLI11 would print what they stand for.
template <class T>
CLI::Validator choice(std::map<std::string, T> words) {
  return CLI::Transformer(std::move(words)).description("");
}

/// Parses `arguments` (without the program's and the command's name). Empty: go on. Otherwise the exit status to end with: help
/// and version have been printed to standard output, or what is wrong, and where the help is, to standard error.
std::optional<int> parse(CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace tcpwhy::cli
