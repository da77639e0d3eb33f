// `tcpwhy why WORD`: the catalogue as pages. A word is looked up as a page's
// name, then among its other names, then inside the texts.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <vector>

#include "cli/options.hpp"
#include "cli/pages.hpp"

namespace tcpwhy::cli {
namespace {

/// Case, dashes and prefixes such as net.ipv4. or TcpExt do not matter.
std::string folded(std::string_view word) {
  std::string out;
  for (char ch : word)
    if (ch != '-' && ch != '_' && ch != ' ') out += static_cast<char>(std::tolower(static_cast<unsigned char>(ch)));
  for (std::string_view prefix : {"net.ipv4.", "net.core.", "tcpext", "net/ipv4/"})
    if (out.size() > prefix.size() && out.compare(0, prefix.size(), prefix) == 0) out.erase(0, prefix.size());
  return out;
}

/// The line "Also called: a, b, c", folded and split.
std::vector<std::string> other_names(const Page& page) {
  std::vector<std::string> out;
  static constexpr std::string_view kMark = "Also called:";
  const std::size_t at = page.text.find(kMark);
  if (at == std::string_view::npos) return out;
  std::string_view rest = page.text.substr(at + kMark.size());
  rest = rest.substr(0, rest.find("\n\n"));
  std::string word;
  auto take = [&] {
    const std::string f = folded(word);
    if (!f.empty()) out.push_back(f);
    word.clear();
  };
  for (char ch : rest) {
    if (ch == ',' || ch == ';')
      take();
    else if (ch != '`' && ch != '"' && ch != '\n' && ch != '.')
      word += ch;
    else if (ch == '\n')
      word += ' ';
  }
  take();
  return out;
}

std::vector<const Page*> find(const std::string& word) {
  const std::string wanted = folded(word);
  std::vector<const Page*> hits;
  for (const Page& page : pages())
    if (folded(page.name) == wanted) hits.push_back(&page);
  if (!hits.empty() || wanted.empty()) return hits;
  for (const Page& page : pages()) {
    const auto names = other_names(page);
    if (std::find(names.begin(), names.end(), wanted) != names.end()) hits.push_back(&page);
  }
  if (!hits.empty()) return hits;
  for (const Page& page : pages()) {
    const auto names = other_names(page);
    if (folded(page.name).find(wanted) != std::string::npos ||
        std::any_of(names.begin(), names.end(), [&](const std::string& n) { return n.find(wanted) != std::string::npos; }))
      hits.push_back(&page);
  }
  if (!hits.empty()) return hits;
  for (const Page& page : pages())
    if (folded(page.text).find(wanted) != std::string::npos) hits.push_back(&page);
  return hits;
}

std::string first_sentence(const Page& page) {
  std::string_view text = page.text.substr(page.text.find('\n') + 1);
  while (!text.empty() && text.front() == '\n') text.remove_prefix(1);
  std::string line{text.substr(0, text.find('\n'))};
  constexpr std::size_t kRoom = 76;
  if (line.size() > kRoom) {
    line.resize(line.rfind(' ', kRoom));
    line += " …";
  }
  return line;
}

void print_page(const Page& page) {
  const bool colour = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  std::string_view text = page.text;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (colour && !line.empty() && line.front() == '#')
      fmt::print("\x1b[1m{}\x1b[0m\n", line);
    else
      fmt::print("{}\n", line);
  }
}

}  // namespace

int why(const std::vector<std::string>& words) {
  if (words.empty()) {
    std::map<std::string_view, std::vector<std::string_view>> groups;
    for (const Page& page : pages()) groups[page.group].push_back(page.name);
    for (const auto& [group, names] : groups) fmt::print("{}: {}\n\n", group, fmt::join(names, ", "));
    return Exit::kNothingFailed;
  }
  std::string word = words.front();
  for (std::size_t i = 1; i < words.size(); ++i) word += " " + words[i];
  const auto hits = find(word);
  if (hits.empty()) {
    fmt::print(stderr, "tcpwhy: no page about '{}'; `tcpwhy why` lists what there is\n", word);
    return Exit::kCouldNotWork;
  }
  if (hits.size() == 1) {
    print_page(*hits.front());
    return Exit::kNothingFailed;
  }
  fmt::print("{} pages speak of '{}':\n", hits.size(), word);
  for (const Page* page : hits) fmt::print("  {:<28} {}\n", page->name, first_sentence(*page));
  return Exit::kNothingFailed;
}

}  // namespace tcpwhy::cli
