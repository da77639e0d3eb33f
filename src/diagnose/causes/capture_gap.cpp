// The capture lost packets: data was acknowledged that was never recorded. The
// connection did not lose them.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (!c.quality.capture_gap || c.quality.one_direction) return;
  std::vector<std::int32_t> cited;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()) && cited.size() < 10; ++i)
    if (c.note(i).ack_place == facts::AckPlace::kUnseen) cited.push_back(i);
  out.note(Bearing::kSupports, cited, {}, [] { return std::string{"data was acknowledged that the capture does not hold"}; });
  if (survey.drops_reported && survey.dropped_by_capture > 0)
    out.supports({}, [&] { return fmt::format("the capture reports {} packets it dropped itself", survey.dropped_by_capture); });
}

}  // namespace

extern const Cause kCaptureGapCause;
const Cause kCaptureGapCause = {
    .id = CauseId::kCaptureGap,
    .title = "The capture lost packets; the connection did not.",
    .benign = true,
    .side = facts::Side::kUnknown,
    .role = Role::kNote,
    .signals = facts::Signal::kCaptureGap,
    .settles = "a capture without drops: larger buffer (tcpdump -B), shorter snap length (-s 128), a filter, a faster disk",
    .fix = {},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
