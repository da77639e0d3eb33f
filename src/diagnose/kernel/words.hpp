#pragma once
// Words and small questions that the parts of the judge share.

#include <fmt/format.h>

#include <cstring>
#include <initializer_list>
#include <string>

#include "diagnose/kernel/judge.hpp"
#include "names/errno.hpp"

namespace tcpwhy::diagnose::kernel {

using facts::Side;

inline constexpr std::uint64_t kMoment = 250'000'000;  ///< events so close belong to one case
inline constexpr std::uint64_t kSecond = 1'000'000'000;
inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;

inline bool is(std::uint8_t number, State state) { return number == static_cast<std::uint8_t>(state); }
constexpr int number(Errno e) { return static_cast<int>(e); }

/// "ESTABLISHED"; "UNSEEN" where the kernel did not say. A request is in SYN_RECV, as RFC 9293 has it.
std::string_view state_name(std::uint8_t number);
bool has(const tw_event& e, std::uint32_t flag);
double in_seconds(std::uint64_t ns);
std::string who(const Owner& p);
Owner process_of(const tw_event& e);
Owner closer_of(const tw_event& e);
Diagnosis& add(Failure& v, CauseId cause, Verdict verdict, Side side, std::string summary);
void note(Diagnosis& d, std::string text);
void possible(Failure& v, std::initializer_list<CauseId> causes, Side side, const char* because);
const char* word(Side s);
Side opposite(Side s);
std::string errno_word(int error);

}  // namespace tcpwhy::diagnose::kernel
