// What the kernel programs hand over: one fixed record. Read by the C of watch.bpf.c and by the C++ of the reader,
// so it knows neither language's library. Addresses and packet numbers are in host order where the kernel keeps them
// so; addresses are in network order, IPv4 in the first four octets.
#pragma once

#ifdef __cplusplus
#include <cstdint>
#else
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __INT32_TYPE__ int32_t;
typedef __UINT64_TYPE__ uint64_t;
#endif

enum tw_kind {
  TW_LISTEN = 1,       /* a socket began or ended to listen */
  TW_RESET_SENT,       /* tcp:tcp_send_reset */
  TW_RESET_RECEIVED,   /* tcp:tcp_receive_reset */
  TW_CONNECT_FAILED,   /* SYN_SENT to CLOSE */
  TW_DIED,             /* a connection to CLOSE with an error that is no reset */
  TW_KILLED,           /* a signal took the owner of an open connection */
  TW_RETRANSMIT,       /* tcp:tcp_retransmit_skb, only where the timer repeats itself */
  TW_SYNACK_REPEATED,  /* tcp:tcp_retransmit_synack */
  TW_DROPPED,          /* skb:kfree_skb with a reason that was asked for */
  TW_ICMP_SENT,        /* icmp:icmp_send: this host answers a segment with an ICMP error; `reason` as below */
  TW_ICMP              /* an ICMP error came for a segment of ours: `reason` is type * 256 + code, `icmp_from` its sender */
};

enum tw_flag {
  TW_HAS_SOCKET = 1 << 0,    /* the numbers of a full socket are filled in */
  TW_HAS_PACKET = 1 << 1,    /* seq, ack, tcp_flags and payload are those of a packet */
  TW_CONNECTED_OUT = 1 << 2, /* the owner called connect() on it */
  TW_OWNER_KNOWN = 1 << 3,   /* pid and comm are the owner's */
  TW_OWNER_DYING = 1 << 4,   /* the owner was exiting when it closed */
  TW_REMEMBERED = 1 << 5,    /* the tuple was a connection of this host a short while ago: `closed_*` */
  TW_ORPHAN = 1 << 6,        /* closed by its application */
  TW_LINGER_ZERO = 1 << 7,   /* SO_LINGER with a time of 0 */
  TW_NOT_FULL = 1 << 8,      /* TIME_WAIT or FIN_WAIT2 mini-socket, or a request */
  TW_REQ_ACKED = 1 << 9,     /* the request had got a bare ACK */
  TW_INCOMING = 1 << 10,     /* the packet came in (its destination is ours) */
  TW_FAST_OPEN = 1 << 11,
  TW_CALLED = 1 << 12,       /* in the owner's own system call */
  TW_NEW_DATA = 1 << 13,     /* the packet that came carries data, or a FIN, that the socket does not have */
  TW_OTHER_ISN = 1 << 14,    /* the SYN-ACK that came numbers another connection than the socket's */
  TW_FIN_CROSSED = 1 << 15,  /* the peer's FIN came after our last data had been sent */
  TW_TLS_ALERT = 1 << 16,    /* the payload is a TLS alert: close_notify, mostly */
  TW_FIN_UNSEEN = 1 << 17    /* the packet that came does not acknowledge the FIN we had sent */
};

struct tw_event {
  uint64_t time_ns;    /* CLOCK_MONOTONIC */
  uint64_t opened_ns;  /* connect(), or the SYN-ACK of an accepted connection; 0 unknown */
  uint64_t bytes_in, bytes_acked, bytes_sent;
  uint64_t closed_ns;  /* when the application closed; when the remembered connection ended */
  uint64_t inode;      /* of the socket's file, 0 none */
  uint8_t local[16] __attribute__((aligned(8)));
  uint8_t remote[16];
  char comm[16];
  uint32_t pid;        /* process, not thread */
  uint32_t netns;
  uint32_t flags;      /* enum tw_flag */
  uint32_t reason;     /* the kernel's number of a reset or drop reason */
  int32_t error;       /* sk_err */
  uint32_t unread, unacked, retransmitted;
  uint32_t user_timeout_ms, srtt_us;
  uint32_t seq, ack;
  uint32_t queue, queue_limit;  /* accept queue of the listener */
  uint32_t sent_ms, got_ms;     /* before the event: data last sent, data last received. The programs write ticks */
  uint16_t local_port, remote_port;
  uint16_t payload, mss;
  uint8_t kind, family;  /* 4 or 6 */
  uint8_t old_state, state;
  uint8_t tries;         /* timeouts in a row: of data, a SYN or a SYN-ACK */
  uint8_t probes;        /* unanswered probes; of a SYN-ACK: how often it was sent again, for a repeated SYN too */
  uint8_t defer_accept;
  uint8_t tcp_flags;
  uint8_t ttl;           /* of the peer's first segment after the handshake, 0 unknown */
  uint8_t reset_ttl;     /* of the RST that came, 0 unknown */
  uint8_t signal;        /* that the owner is dying of */
  uint32_t serial;       /* of its CPU's ring: as below */
  /* What follows is the reader's: the programs do not write it. */
  uint8_t closed_state;  /* what the remembered connection was when it ended */
  uint8_t closed_error;
  uint32_t closed_pid;
  uint32_t unanswered_ms;            /* how long the remembered connection had waited for an answer when it ended */
  union {
    char closed_comm[16];
    uint8_t icmp_from[16];
  };
};
/* As much of it as the programs write: three cache lines. */
enum { TW_WRITTEN = 192 };

/* Each CPU writes its events into a ring of its own, an array that the reader maps, and asks the kernel for nothing: no lock, no
   reservation, no waking. An event is whole when its serial is the number of its place in the order of the CPU's events, from 1;
   while it is being written the highest bit is set. A place is free again when the reader has moved `tail` behind it. */
enum { TW_SERIAL_BITS = 0x7fffffff };
enum { TW_TELL = 1, TW_TELL_RESET };  /* a drop of this reason is told; of a RST only */
enum { TW_MOST_NETNS = 8 };  /* network namespaces that the programs tell apart */
struct tw_cpu {
  uint64_t head;            /* events begun */
  uint64_t discarded;       /* of them */
  uint64_t lost;            /* events that found the ring full */
  uint64_t opened, closed;  /* connections of this host seen to open and to end */
  uint64_t scratch;         /* the programs' own */
  uint64_t netns;           /* theirs, too: the kernel's address of the last namespace that was found to be ours */
  uint64_t ended;           /* ends noted */
  uint64_t tail;            /* the reader's: events taken */
  uint64_t rest_of_tails_line[7];
};

/* How a connection ended. Each CPU notes its ends one behind the other, which is what memory does best, in a ring that wraps over
   the oldest; the reader makes a table of them when it has a question. A note is whole when its serial is as that of an event. */
struct tw_ended {
  uint64_t key, time_ns;
  uint32_t pid, unanswered_ticks;
  uint32_t serial;
  uint8_t state, error;
  uint8_t took_nothing; /* not an octet of payload had come */
  uint8_t pad;
  char comm[16];
};

static inline __attribute__((always_inline)) uint64_t tw_mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9e3779b97f4a7c15ull;
  return h ^ (h >> 29);
}
/* Both ends and the namespace of an event. */
static inline __attribute__((always_inline)) uint64_t tw_tuple_key(const struct tw_event *e) {
  uint64_t l[2], r[2];
  __builtin_memcpy(l, e->local, sizeof(l));
  __builtin_memcpy(r, e->remote, sizeof(r));
  uint64_t h = tw_mix(e->netns, ((uint64_t)e->local_port << 16) | e->remote_port);
  h = tw_mix(tw_mix(h, l[0]), r[0]);
  if (e->family == 6) h = tw_mix(tw_mix(h, l[1]), r[1]);
  return h;
}
