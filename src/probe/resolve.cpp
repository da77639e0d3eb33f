#include "probe/resolve.hpp"

#include <arpa/nameser.h>
#include <fmt/format.h>
#include <netdb.h>
#include <resolv.h>

#include <algorithm>
#include <cstring>

#include "probe/sockaddr.hpp"

namespace tcpwhy::probe {
namespace {

std::string count_words(std::size_t n) { return fmt::format("{} address{}", n, n == 1 ? "" : "es"); }

/// DNS alone, past the hosts file. Bounded: one try of 3 s at each server.
facts::NameAnswer ask_dns(const std::string& name, int type, const char* type_name) {
  facts::NameAnswer out;
  out.type = type_name;
  struct __res_state state {};
  if (res_ninit(&state) != 0) {
    out.said = "no resolver is configured";
    return out;
  }
  state.retry = 1;
  state.retrans = 3;
  unsigned char bytes[4096];
  const double began = monotonic_s();
  const int got = res_nsearch(&state, name.c_str(), ns_c_in, type, bytes, sizeof bytes);
  const int why = state.res_h_errno;
  res_nclose(&state);
  if (got >= 0) {
    out = parse_dns_answer(bytes, std::min<std::size_t>(static_cast<std::size_t>(got), sizeof bytes), type_name);
  } else {
    switch (why) {
      case HOST_NOT_FOUND: out.said = "NXDOMAIN: no such name"; break;
      case NO_DATA: out.said = "the name exists and has no such record"; break;
      case TRY_AGAIN: out.said = "no answer from the name server, or SERVFAIL"; break;
      default: out.said = "the name server refused or failed"; break;
    }
  }
  out.took_s = monotonic_s() - began;
  return out;
}

}  // namespace

facts::NameAnswer parse_dns_answer(const unsigned char* bytes, std::size_t size, const char* type) {
  facts::NameAnswer out;
  out.type = type;
  ns_msg message;
  if (ns_initparse(bytes, static_cast<int>(size), &message) != 0) {
    out.said = "an answer that cannot be read";
    return out;
  }
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, i, &record) != 0) break;
    const auto ttl = static_cast<std::uint32_t>(ns_rr_ttl(record));
    out.ttl_s = i == 0 ? ttl : std::min(out.ttl_s, ttl);
    facts::Address a;
    if (ns_rr_type(record) == ns_t_a && ns_rr_rdlen(record) == 4) {
      std::memcpy(a.bytes.data(), ns_rr_rdata(record), 4);
      out.addresses.push_back(a);
    } else if (ns_rr_type(record) == ns_t_aaaa && ns_rr_rdlen(record) == 16) {
      a.version = 6;
      std::memcpy(a.bytes.data(), ns_rr_rdata(record), 16);
      out.addresses.push_back(a);
    } else if (ns_rr_type(record) == ns_t_cname) {
      char alias[NS_MAXDNAME];
      if (dn_expand(ns_msg_base(message), ns_msg_end(message), ns_rr_rdata(record), alias, sizeof alias) >= 0)
        out.aliases.emplace_back(alias);
    }
  }
  out.said = out.addresses.empty() ? "the name exists and has no such record" : count_words(out.addresses.size());
  return out;
}

Result<Resolved> resolve(const std::string& host, Family family) {
  Resolved out;
  if (const auto literal = facts::parse_address(host)) {
    out.source = "address given";
    out.addresses.push_back(*literal);
    return out;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = family == Family::kIpv4 ? AF_INET : family == Family::kIpv6 ? AF_INET6 : AF_UNSPEC;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  for (const addrinfo* a = list; error == 0 && a != nullptr; a = a->ai_next) {
    const facts::Address address = from_sockaddr(a->ai_addr).address;
    if (std::find(out.addresses.begin(), out.addresses.end(), address) == out.addresses.end()) out.addresses.push_back(address);
  }
  if (list != nullptr) freeaddrinfo(list);
  if (family != Family::kIpv6) out.names.push_back(ask_dns(host, ns_t_a, "A"));
  if (family != Family::kIpv4) out.names.push_back(ask_dns(host, ns_t_aaaa, "AAAA"));
  if (out.addresses.empty()) {
    std::string said;
    for (const facts::NameAnswer& n : out.names) said += fmt::format("; DNS {}: {}", n.type, n.said);
    return Error{"probe.resolve", fmt::format("the name {} has no address: {}{}", host, gai_strerror(error), said)};
  }
  bool all_from_dns = true;
  for (const facts::Address& a : out.addresses)
    all_from_dns &= std::any_of(out.names.begin(), out.names.end(), [&](const facts::NameAnswer& n) {
      return std::find(n.addresses.begin(), n.addresses.end(), a) != n.addresses.end();
    });
  out.source = all_from_dns ? "DNS" : "not DNS (hosts file or another source)";
  return out;
}

}  // namespace tcpwhy::probe
