#include "cli/arguments.hpp"

#include <cstdio>

#include "cli/options.hpp"

namespace tcpwhy::cli {

std::optional<int> parse(CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<std::string> reversed{arguments.rbegin(), arguments.rend()};  // as CLI11 takes them
  try {
    app.parse(std::move(reversed));
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    const auto commands = app.get_subcommands();  // the one that was named, if any
    std::fputs((commands.empty() ? app : *commands.front()).help().c_str(), stdout);
    return Exit::kNothingFailed;
  } catch (const CLI::CallForVersion& e) {
    std::puts(e.what());
    return Exit::kNothingFailed;
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "tcpwhy: %s (see %s --help)\n", e.what(), app.get_name().c_str());
    return Exit::kCouldNotWork;
  }
}

}  // namespace tcpwhy::cli
