#include "script/run_info.hpp"

namespace tcpwhy::script {

void add(const model::TcpInfo& info, Variables& to) {
  const auto set = [&to](const char* name, auto value) { to[name] = static_cast<double>(value); };
  set("tcpi_state", static_cast<int>(info.state));
  set("tcpi_ca_state", static_cast<int>(info.ca_state));
  set("tcpi_advmss", info.advmss);
  set("tcpi_ato", info.ato);
  set("tcpi_backoff", info.backoff);
  set("tcpi_bytes_acked", info.bytes_acked);
  set("tcpi_bytes_received", info.bytes_received);
  set("tcpi_bytes_retrans", info.bytes_retrans);
  set("tcpi_bytes_sent", info.bytes_sent);
  set("tcpi_data_segs_in", info.data_segs_in);
  set("tcpi_data_segs_out", info.data_segs_out);
  set("tcpi_delivered", info.delivered);
  set("tcpi_delivered_ce", info.delivered_ce);
  set("tcpi_dsack_dups", info.dsack_dups);
  set("tcpi_last_ack_recv", info.last_ack_recv);
  set("tcpi_last_data_recv", info.last_data_recv);
  set("tcpi_last_data_sent", info.last_data_sent);
  set("tcpi_lost", info.lost);
  set("tcpi_min_rtt", info.min_rtt);
  set("tcpi_notsent_bytes", info.notsent_bytes);
  set("tcpi_options", info.options);
  set("tcpi_pmtu", info.pmtu);
  set("tcpi_probes", info.probes);
  set("tcpi_rcv_mss", info.rcv_mss);
  set("tcpi_rcv_ooopack", info.rcv_ooopack);
  set("tcpi_rcv_rtt", info.rcv_rtt);
  set("tcpi_rcv_space", info.rcv_space);
  set("tcpi_rcv_ssthresh", info.rcv_ssthresh);
  set("tcpi_rcv_wnd", info.rcv_wnd);
  set("tcpi_rcv_wscale", info.rcv_wscale);
  set("tcpi_rehash", info.rehash);
  set("tcpi_reord_seen", info.reord_seen);
  set("tcpi_reordering", info.reordering);
  set("tcpi_retrans", info.retrans);
  set("tcpi_retransmits", info.retransmits);
  set("tcpi_rto", info.rto);
  set("tcpi_rtt", info.rtt);
  set("tcpi_rttvar", info.rttvar);
  set("tcpi_sacked", info.sacked);
  set("tcpi_segs_in", info.segs_in);
  set("tcpi_segs_out", info.segs_out);
  set("tcpi_snd_cwnd", info.snd_cwnd);
  set("tcpi_snd_mss", info.snd_mss);
  set("tcpi_snd_ssthresh", info.snd_ssthresh);
  set("tcpi_snd_wnd", info.snd_wnd);
  set("tcpi_snd_wscale", info.snd_wscale);
  set("tcpi_total_retrans", info.total_retrans);
  set("tcpi_total_rto", info.total_rto);
  set("tcpi_total_rto_recoveries", info.total_rto_recoveries);
  set("tcpi_total_rto_time", info.total_rto_time);
  set("tcpi_unacked", info.unacked);
}

}  // namespace tcpwhy::script
