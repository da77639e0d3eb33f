#pragma once
// What every command does with its arguments, in one way.

#include <CLI/CLI.hpp>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tcpwhy::cli {

/// Options whose value is one of a few words. The help and the error name the words: CLI11 would print what they stand for.
template <class T>
CLI::Validator choice(std::map<std::string, T> words) {
  std::string known;
  for (const auto& [word, meaning] : words) known += (known.empty() ? "" : ", ") + word;
  const CLI::Validator translate = CLI::Transformer(words);
  return CLI::Validator{[words = std::move(words), known, translate](std::string& given) {
                          return words.contains(given) ? translate(given) : "'" + given + "' is none of: " + known;
                        },
                        ""};
}

/// Parses `arguments` (without the program's and the command's name). Empty: go on. Otherwise the exit status to end with: help
/// and version have been printed to standard output, or what is wrong, and where the help is, to standard error.
std::optional<int> parse(CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace tcpwhy::cli
