#pragma once
// What is true of every segment that arrives, in any state: nothing happens without a rule, no RST answers a RST,
// no counter moves without the rule that moves it, and what left is counted. RFC 9293 3.10.7.

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "model/host.hpp"

namespace tcpwhy::model {

/// Which rules may move a counter when a segment arrives. What is not here moves with any.
inline const std::map<Mib, std::set<Rule>> kMovers = {
    {Mib::kOutRsts,
     {Rule::kNoSocket, Rule::kListenRefusesAck, Rule::kRequestSynReset, Rule::kSynSentBadAck,
      Rule::kSynSentBadTsecr, Rule::kSynRecvBadAck, Rule::kDataAfterClose, Rule::kFinWait2MiniReset,
      Rule::kLingerReset, Rule::kSynAborts, Rule::kAbortOnOverflow}},
    {Mib::kAttemptFails,
     {Rule::kRequestReset, Rule::kRequestSynReset, Rule::kRstAccepted, Rule::kRstInWindow,
      Rule::kSynSentRefused, Rule::kSynAborts}},
    {Mib::kEmbryonicRsts, {Rule::kRequestReset, Rule::kRequestSynReset, Rule::kAbortOnOverflow}},
    {Mib::kEstabResets, {Rule::kRstAccepted, Rule::kRstInWindow, Rule::kSynAborts, Rule::kDataAfterClose}},
    {Mib::kPassiveOpens, {Rule::kRequestBecomesChild, Rule::kCookieValid, Rule::kFastOpenAccepted}},
    {Mib::kActiveOpens, {}},
    {Mib::kListenOverflows, {Rule::kAcceptQueueFull, Rule::kThirdAckIgnored, Rule::kAbortOnOverflow}},
    {Mib::kListenDrops,
     {Rule::kAcceptQueueFull, Rule::kThirdAckIgnored, Rule::kAbortOnOverflow, Rule::kLastQuarter,
      Rule::kSynCookiesOff, Rule::kSynCookie}},  // 3.10 to 4.4 count SYNs they answer by cookie
    {Mib::kTCPChallengeACK,
     {Rule::kRstChallenged, Rule::kSynChallenged, Rule::kAckTooOld, Rule::kAckOfUnsent}},
    {Mib::kTCPSYNChallenge, {Rule::kSynChallenged}},
    {Mib::kInErrs, {Rule::kSynChallenged, Rule::kSynAborts}},
    {Mib::kTCPAbortOnData, {Rule::kDataAfterClose, Rule::kLingerReset}},
    {Mib::kTCPAbortOnSyn, {Rule::kSynAborts}},
    {Mib::kTCPACKSkippedChallenge, {Rule::kChallengeLimited}},
    {Mib::kTCPACKSkippedSeq, {Rule::kChallengeLimited}},
    {Mib::kTCPACKSkippedSynRecv, {Rule::kChallengeLimited}},
    {Mib::kTCPACKSkippedTimeWait, {Rule::kChallengeLimited}},
    {Mib::kTCPACKSkippedFinWait2, {Rule::kChallengeLimited}},
    {Mib::kTW, {Rule::kTimeWaitEntered, Rule::kFinWait2Mini}},
    {Mib::kTWKilled, {Rule::kTimeWaitEntered, Rule::kFinWait2Mini}},
    {Mib::kBeyondWindow, {Rule::kOutOfWindow}},
    {Mib::kSyncookiesFailed, {Rule::kCookieInvalid}},
    {Mib::kRetransSegs, {Rule::kRequestSynAgain, Rule::kFastRetransmit}},
    {Mib::kTCPTimeouts, {}},
    {Mib::kPAWSEstab, {Rule::kPawsDrop, Rule::kRequestPaws}},
    {Mib::kTSEcrRejected, {Rule::kRequestTsecr}},
    {Mib::kSyncookiesRecv, {Rule::kCookieValid}},
    {Mib::kTCPDeferAcceptDrop, {Rule::kRequestDeferred}},
};

/// What is not true of one segment's step, or empty. `flags` are the segment's.
inline std::string conserves(std::uint8_t flags, const Step& step, Counters before, const Counters& after,
                             std::size_t most_answers = 1) {
  const auto among = [](const auto& list, const auto& one) { return std::count(list.begin(), list.end(), one); };
  const std::string rules = [&] {
    std::string out;
    for (const Rule r : step.because) out += " " + std::string{row(r).id};
    return out;
  }();
  if (step.because.empty()) return "no rule";
  if (step.sent.size() > most_answers) return "more than one answer:" + rules;
  const auto resets = std::count_if(step.sent.begin(), step.sent.end(), [](const Packet& p) { return p.rst(); });
  if (resets != 0 && (flags & wire::Flag::kRst)) return "a RST for a RST:" + rules;
  if (resets != among(step.counted, Mib::kOutRsts)) return "a RST that is not counted, or one counted that was not sent:" + rules;
  // Linux counts the SYN-ACK of crossed SYNs neither as new nor as a repeat: its number left before.
  const bool crossed = among(step.because, Rule::kSimultaneousOpen) != 0;
  const auto out = among(step.counted, Mib::kOutSegs) + among(step.counted, Mib::kRetransSegs);
  if (!crossed && out < static_cast<std::ptrdiff_t>(step.sent.size())) return "a segment that is not counted:" + rules;
  for (const Mib m : step.counted) {
    ++before[static_cast<std::size_t>(m)];
    const auto movers = kMovers.find(m);
    if (movers == kMovers.end()) continue;
    if (std::none_of(step.because.begin(), step.because.end(), [&](Rule r) { return movers->second.contains(r); }))
      return "counter " + std::string{row(m).name} + " moved by:" + rules;
  }
  // CurrEstab is a gauge; every other counter is in the step.
  before[static_cast<std::size_t>(Mib::kCurrEstab)] = after[static_cast<std::size_t>(Mib::kCurrEstab)];
  return before == after ? std::string{} : "a counter moved that the step does not name:" + rules;
}

}  // namespace tcpwhy::model
