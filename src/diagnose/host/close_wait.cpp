// close-wait-leak: the peer closed, this side's application does not.

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {

void find_close_wait(const View& view, Findings& out) {
  std::unordered_map<const facts::Process*, Pile> piles;
  std::unordered_map<const facts::Process*, std::uint64_t> eof_unread;
  for (const Socket& s : view.ns.sockets) {
    if (s.state != State::kCloseWait) continue;
    // A half-closed connection that is still being served is no leak: something moves.
    const SocketInfo* i = view.ns.info(s);
    if (i == nullptr || i->silent_ms() < view.patience_ms()) continue;
    if (s.inode == 0 && view.listening(s.local) != nullptr) continue;  // not accepted yet: the listener's finding
    const facts::Process* p = view.host.process(s);
    piles.try_emplace(p, view).first->second.add(s, i->silent_ms() * 1e-3);
    if (s.receive_queue > 0) ++eof_unread[p];
  }
  const bool sampled = view.ns.infos_wanted > view.ns.infos.size();
  for (const auto& [process, pile] : piles) {
    HostFinding f;
    f.cause = "close-wait-leak";
    // The state says that the peer's FIN was acknowledged; only time says "never".
    f.verdict = pile.oldest_s().value_or(0) >= 10 * view.options.patience_s ? Verdict::kProven : Verdict::kLikely;
    f.side = pile.side();
    f.summary = fmt::format("{} does not close: {} in CLOSE_WAIT, the oldest silent for {}.", process_words(process),
                            counted(pile.count(), "socket"), age_words(pile.oldest_s().value_or(0)));
    f.processes = pile.owners();
    f.sockets.push_back(pile.evidence(pile.where_words()));
    // recv() counts the FIN as read when it returns 0, so a queue of 1 is an unread end of file.
    const std::uint64_t unread = eof_unread.contains(process) ? eof_unread.at(process) : 0;
    if (unread == 0)
      f.notes.push_back("every end of file was read: the program saw recv() return 0 and did not call close()");
    else
      f.notes.push_back(fmt::format("on {} of them the end of file (and {} bytes in all) was never read", unread, pile.unread()));
    if (process != nullptr && process->descriptor_limit > 0)
      f.notes.push_back(fmt::format("the process has {} of {} descriptors open", process->descriptors, process->descriptor_limit));
    if (sampled)
      f.notes.push_back(fmt::format("{} sockets were dated of {} worth it: there may be more", view.ns.infos.size(),
                                    view.ns.infos_wanted));
    f.fix = {"fix the program: every path after recv() returns 0, errors and timeouts included, must close the socket",
             "no sysctl ends CLOSE_WAIT, keepalive neither; restarting the process does, for a while"};
    out.push_back(std::move(f));
  }
}

}  // namespace tcpwhy::diagnose::host
