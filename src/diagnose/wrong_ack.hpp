#pragma once
// ACK numbers of things that were never sent, and the RSTs that answer them.

#include <cstdint>
#include <optional>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::diagnose::ending {

/// Segments of one side whose ACK number the other side cannot have earned.
struct WrongAcks {
  facts::Party by = facts::Party::kClient;
  std::int32_t first = -1, last = -1;
  std::uint32_t count = 0;
  std::int32_t right_before = -1;   ///< an earlier segment of the same side with a right ACK number, -1 none
  bool sequence_right = false;      ///< its own sequence numbers continue where they were
  bool constant = false;            ///< all are off by the same distance
  std::int32_t shift = 0;           ///< the first one's distance from the right number
  std::int32_t answer = -1;         ///< RST or challenge ACK that answered one of them, -1 none
};
std::optional<WrongAcks> wrong_acks(const facts::Connection& c);

/// The client opens with a wrong ACK number and without what its SYN and the SYN-ACK seen here agreed on (RFC 7323 2.2, 3.2):
/// it had taken another SYN-ACK for its answer, which did not pass here.
bool took_another_syn_ack(const facts::Connection& c, const WrongAcks& w);

/// RSTs without ACK flag that answer data although their number is no ACK number of
/// that data, and which its sender ignored: seen on the near side of a device that
/// gives the other end wrong numbers.
struct MisplacedAnswers {
  std::int32_t first = -1, last = -1;
  std::int32_t offender = -1;       ///< the data the first one answers
  std::uint32_t count = 0;
  bool constant = false;
  std::int32_t shift = 0;
};
std::optional<MisplacedAnswers> misplaced_answers(const facts::Connection& c);

}  // namespace tcpwhy::diagnose::ending
