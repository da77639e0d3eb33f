// What the kernel says about TCP connections that fail, as they fail.
//
// Every program sits on a tracepoint of the kernel, runs in a hundred nanoseconds or so, and on a healthy connection
// says nothing: it only notes who called connect() or close(), and,
// when a connection ends, its tuple in a table of the last ends, so that a later segment to it can be told from a
// stranger's. Only what is unusual becomes an event in the CPU's ring. What finds the ring full is counted.
//
// The programs need no license of the kernel's beyond what their helpers ask for; "Dual MIT/GPL" names both.

#include "core.h"
//
#include <bpf/bpf_helpers.h>
//
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "facts/kernel_event.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define PF_EXITING 0x4  // include/linux/sched.h

// Set before loading. The network namespaces to tell of, up to the first 0; none: all.
const volatile __u32 only_netns[TW_MOST_NETNS] = {};
// One octet per drop reason of the running kernel: TW_TELL and the like.
const volatile __u8 told_reasons[256] = {};
const volatile __u32 retransmits_told = 2;

const volatile __u32 ring_slots = 1024;  // events in the ring of one CPU; a power of 2
const volatile __u32 tick_ns = 1000000;
const volatile bool may_cast = false;    // the kernel has bpf_rdonly_cast() (6.2)

// Most of what a program costs is memory that the network's own code has pushed out of the cache: a call of a helper is that, too.
// So helpers are called where there is no other way.
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __attribute__((weak));

// The reader looks every few milliseconds of its own accord: waking it would cost more than the event does. The kernel's own
// ring buffer costs more than all else in a program: a lock, and a barrier that waits for the cold memory just written.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // `ring_slots` for each CPU, set before loading
  __type(key, __u32);
  __type(value, __u64[TW_WRITTEN / 8]);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // set before loading
  __type(key, __u32);
  __type(value, struct tw_cpu);
} cpus SEC(".maps");

// Who called connect() or close() on a socket: a table without chains, by the socket's address. A newer socket may take
// an older one's place, so a name may be missing; it is never a stranger's, because the birth of a socket clears it.
// A mapped array begins a page: each of its entries is then one cache line, which is most of what it costs.
struct owner {
  __u64 sock, opened_ns, fin_ns;  // opened_ns: as in an event
  __u64 closed_ticks;             // of the kernel's jiffies, which cost no look at a clock
  __u32 pid, flags;
  __u8 signal, ttl, reset_ttl, ended;  // `ended`: the state it was closed in, 0 not yet
  __u8 pad[4];
  char comm[16];
};
#define OWNER_SLOTS (1 << 17)
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, OWNER_SLOTS);
  __type(key, __u32);
  __type(value, struct owner);
} owners SEC(".maps");

// The last ends of connections, `ended_slots` for each CPU. A table by tuple would cost a random page each, and a page that is not in
// the translation buffer costs a guest more than all else here.
const volatile __u32 ended_slots = 1024;  // a power of 2
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // set before loading
  __type(key, __u32);
  __type(value, struct tw_ended);
} ends SEC(".maps");

static __always_inline struct tw_cpu *this_cpu(void) {
  __u32 cpu = bpf_get_smp_processor_id();
  return bpf_map_lookup_elem(&cpus, &cpu);
}

// The verifier lets nobody calculate with a pointer; written to a map and read back it is a number.
static __always_inline __u64 number_of(const struct sock *sk) {
  struct tw_cpu *c = this_cpu();
  if (!c) return 0;
  *(volatile __u64 *)&c->scratch = (__u64)sk;
  return *(volatile __u64 *)&c->scratch;
}
static __always_inline struct owner *owner_slot(__u64 sock) {
  __u32 slot = tw_mix(0, sock) >> 47;
  return bpf_map_lookup_elem(&owners, &slot);
}
static __always_inline struct owner *owner_of(const struct sock *sk) {
  __u64 sock = number_of(sk);
  struct owner *o = owner_slot(sock);
  return o && o->sock == sock ? o : 0;
}

static __always_inline void forget_owner(const struct sock *sk) {
  struct owner *o = owner_of(sk);
  if (o) o->sock = 0;
}

static __always_inline __u32 netns_of(const struct sock *sk) { return sk->__sk_common.skc_net.net->ns.inum; }
// They are constants: of the loop the comparisons that can be true are left.
static __always_inline bool is_ours(__u32 netns) {
  if (only_netns[0] == 0) return true;
#pragma unroll
  for (int i = 0; i < TW_MOST_NETNS && only_netns[i] != 0; ++i)
    if (netns == only_netns[i]) return true;
  return false;
}

// The same of a socket, mostly without a look at its namespace, whose number shares a line with a count that every socket changes.
// The reader keeps the namespaces that are ours, so that their addresses are nobody else's.
static __always_inline bool is_ours_socket(const struct sock *sk, struct tw_cpu *c) {
  if (only_netns[0] == 0) return true;
  const struct net *netns = sk->__sk_common.skc_net.net;
  if ((__u64)netns == c->netns) return true;
  if (!is_ours(netns->ns.inum)) return false;
  *(volatile __u64 *)&c->netns = (__u64)netns;
  return true;
}

// A full socket of TCP as such; the cast is no call.
static __always_inline const struct tcp_sock *tcp_of(const struct sock *sk) {
  if (may_cast) return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
  return bpf_skc_to_tcp_sock((void *)sk);
}
// When the kernel last looked at the clock for this connection: on each segment that comes, and before a RST of its own accord.
static __always_inline __u64 clock_of(const struct tcp_sock *tp) {
  return bpf_core_field_exists(tp->tcp_clock_cache) ? tp->tcp_clock_cache : bpf_ktime_get_ns();
}

// `now`: 0 to ask the clock.
static __always_inline struct tw_event *begin_at(__u8 kind, __u64 now) {
  __u32 cpu = bpf_get_smp_processor_id();
  struct tw_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
  if (!c) return 0;
  // Eight places are kept: an interrupt may come between the question and the taking, and tell something itself.
  if (c->head - *(volatile __u64 *)&c->tail >= ring_slots - 8) {
    c->lost++;
    return 0;
  }
  __u64 index = __sync_fetch_and_add(&c->head, 1);
  __u32 slot = cpu * ring_slots + (index & (ring_slots - 1));
  struct tw_event *e = bpf_map_lookup_elem(&events, &slot);
  if (!e) return 0;
  __builtin_memset(e, 0, TW_WRITTEN);
  e->serial = ~TW_SERIAL_BITS | (index + 1);
  e->time_ns = now ? now : bpf_ktime_get_ns();
  e->kind = kind;
  return e;
}
static __always_inline struct tw_event *begin(__u8 kind) { return begin_at(kind, 0); }

// The reader takes no event of the last millisecond, so that what stands before this store has arrived by then on any machine.
static __always_inline void submit(struct tw_event *e) {
  asm volatile("" ::: "memory");
  *(volatile __u32 *)&e->serial = e->serial & TW_SERIAL_BITS;
}
static __always_inline void discard(struct tw_event *e) {
  e->kind = 0;
  submit(e);
  struct tw_cpu *c = this_cpu();
  if (c) c->discarded++;
}

// Both ends. What every kind of socket has, mini-sockets and requests included.
static __always_inline void put_ends(struct tw_event *e, const struct sock_common *c) {
  e->state = c->skc_state;
  e->local_port = c->skc_num;
  e->remote_port = __builtin_bswap16(c->skc_dport);
  if (c->skc_family == AF_INET6) {
    e->family = 6;
    bpf_core_read(e->local, 16, &c->skc_v6_rcv_saddr);
    bpf_core_read(e->remote, 16, &c->skc_v6_daddr);
    // An IPv4 connection of an IPv6 socket: ::ffff:a.b.c.d.
    const __u32 *words = (const __u32 *)e->remote;
    if (words[0] == 0 && words[1] == 0 && words[2] == 0xffff0000u) {
      e->family = 4;
      __builtin_memset(e->local, 0, 16);
      __builtin_memset(e->remote, 0, 16);
      *(__u32 *)e->local = c->skc_rcv_saddr;
      *(__u32 *)e->remote = c->skc_daddr;
    }
  } else {
    e->family = 4;
    *(__u32 *)e->local = c->skc_rcv_saddr;
    *(__u32 *)e->remote = c->skc_daddr;
  }
}
static __always_inline void put_common(struct tw_event *e, const struct sock_common *c) {
  e->netns = c->skc_net.net->ns.inum;
  put_ends(e, c);
}

// The port was given back before the state changed; the number it had is still in the socket.
static __always_inline void put_port(struct tw_event *e, const struct tcp_sock *tp) {
  if (e->local_port == 0) e->local_port = __builtin_bswap16(tp->inet_conn.icsk_inet.inet_sport);
}

// Cheaper than the helper; the kernel keeps a 0 at the end.
static __always_inline void put_comm(char *comm, const struct task_struct *task) {
  ((__u64 *)comm)[0] = *(const __u64 *)&task->comm[0];
  ((__u64 *)comm)[1] = *(const __u64 *)&task->comm[8];
}

static __always_inline void put_task(struct tw_event *e) {
  struct task_struct *task = bpf_get_current_task_btf();
  e->pid = task->tgid;
  put_comm(e->comm, task);
  e->flags |= TW_OWNER_KNOWN | TW_CALLED;
  if (task->flags & PF_EXITING) {
    e->flags |= TW_OWNER_DYING;
    e->signal = task->exit_code & 0x7f;
  }
}

static __always_inline void put_owner(struct tw_event *e, const struct owner *o) {
  if (!o) return;
  e->flags |= o->flags;
  e->opened_ns = o->opened_ns;
  if (o->closed_ticks != 0) e->closed_ns = e->time_ns - (bpf_jiffies64() - o->closed_ticks) * tick_ns;
  e->pid = o->pid;
  e->signal = o->signal;
  e->ttl = o->ttl;
  e->reset_ttl = o->reset_ttl;
  e->old_state = o->ended;
  __builtin_memcpy(e->comm, o->comm, sizeof(e->comm));
}

static __always_inline void put_inode(struct tw_event *e, const struct sock *sk) {
  if (bpf_core_field_exists(sk->sk_ino)) {
    e->inode = sk->sk_ino;
    return;
  }
  struct socket *socket = sk->sk_socket;
  if (socket && socket->file && socket->file->f_inode) e->inode = socket->file->f_inode->i_ino;
}

// The numbers of a full socket.
static __always_inline void put_socket(struct tw_event *e, const struct sock *sk) {
  put_common(e, &sk->__sk_common);
  const struct tcp_sock *tp = tcp_of(sk);
  if (!tp) return;
  put_port(e, tp);
  e->flags |= TW_HAS_SOCKET;
  e->error = sk->sk_err;
  unsigned long flags = sk->__sk_common.skc_flags;
  if (flags & (1ul << bpf_core_enum_value(enum sock_flags, SOCK_DEAD))) e->flags |= TW_ORPHAN;
  if ((flags & (1ul << bpf_core_enum_value(enum sock_flags, SOCK_LINGER))) && sk->sk_lingertime == 0)
    e->flags |= TW_LINGER_ZERO;
  if (e->state == TCP_LISTEN) {
    e->queue = sk->sk_ack_backlog;
    e->queue_limit = sk->sk_max_ack_backlog;
    e->defer_accept = tp->inet_conn.icsk_accept_queue.rskq_defer_accept;
  } else {
    e->bytes_in = tp->bytes_received;
    e->bytes_acked = tp->bytes_acked;
    e->bytes_sent = tp->bytes_sent;
    e->unread = tp->rcv_nxt - tp->copied_seq;
    e->unacked = tp->write_seq - tp->snd_una;
    e->retransmitted = tp->total_retrans;
    e->srtt_us = tp->srtt_us >> 3;
    e->mss = tp->mss_cache;
    e->seq = tp->snd_nxt;
    e->ack = tp->rcv_nxt;
    e->tries = tp->inet_conn.icsk_retransmits;
    e->probes = tp->inet_conn.icsk_probes_out;
    e->user_timeout_ms = tp->inet_conn.icsk_user_timeout;
    const __u32 now = bpf_jiffies64();
    e->sent_ms = now - tp->lsndtime;
    e->got_ms = now - tp->inet_conn.icsk_ack.lrcvtime;
  }
  put_inode(e, sk);
}

// As TCP keeps them beside a segment it has looked at.
static __always_inline __u8 tcp_flags_of(const struct sk_buff *skb) {
  return skb->cb[bpf_core_field_offset(struct tcp_skb_cb, tcp_flags)];
}

// The tuple and numbers of a packet. Answers whether it is TCP over IP at all.
static __always_inline bool put_packet(struct tw_event *e, const struct sk_buff *skb, bool incoming) {
  unsigned char ip[60];  // IPv6 and TCP; a packet's memory is never smaller
  unsigned char *at = skb->head + skb->network_header;
  __u32 payload = 0, offset;
  if (bpf_probe_read_kernel(ip, sizeof(ip), at)) return false;
  const unsigned char *tcp = ip + 20;
  const __u8 *from, *to;
  if ((ip[0] >> 4) == 4) {
    if (ip[9] != IPPROTO_TCP || ((ip[6] & 0x1f) | ip[7])) return false;
    offset = (ip[0] & 15) * 4;
    payload = (ip[2] << 8 | ip[3]) - offset;
    from = ip + 12, to = ip + 16;
    e->family = 4;
    __builtin_memset(e->local, 0, 16);
    __builtin_memset(e->remote, 0, 16);
    __builtin_memcpy(incoming ? e->remote : e->local, from, 4);
    __builtin_memcpy(incoming ? e->local : e->remote, to, 4);
  } else if ((ip[0] >> 4) == 6) {
    if (ip[6] != IPPROTO_TCP) return false;
    offset = 40;
    tcp = ip + 40;
    payload = ip[4] << 8 | ip[5];
    e->family = 6;
    __builtin_memcpy(incoming ? e->remote : e->local, ip + 8, 16);
    __builtin_memcpy(incoming ? e->local : e->remote, ip + 24, 16);
  } else {
    return false;
  }
  unsigned char behind_options[16];
  if (offset != 20 && offset != 40) {
    if (bpf_probe_read_kernel(behind_options, sizeof(behind_options), at + offset)) return false;
    tcp = behind_options;
  }
  __u16 source = tcp[0] << 8 | tcp[1], target = tcp[2] << 8 | tcp[3];
  e->local_port = incoming ? target : source;
  e->remote_port = incoming ? source : target;
  e->seq = (__u32)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
  e->ack = (__u32)tcp[8] << 24 | tcp[9] << 16 | tcp[10] << 8 | tcp[11];
  e->tcp_flags = tcp[13];
  payload -= (tcp[12] >> 4) * 4;
  e->payload = payload < 0xffff ? payload : 0xffff;
  // RFC 8446 5.1, RFC 5246 6.2.1: content type 21, version 3.x. An alert is short. Since 1.3 it looks like data: 2 octets
  // and its type behind a header of 5, before a tag of 16.
  if (payload - 7 < 120 && skb->data_len == 0) {
    __u8 record[2];
    if (!bpf_probe_read_kernel(record, sizeof(record), at + offset + (tcp[12] >> 4) * 4) && record[1] == 3 &&
        (record[0] == 21 || (record[0] == 23 && payload == 24)))
      e->flags |= TW_TLS_ALERT;
  }
  e->flags |= TW_HAS_PACKET | (incoming ? TW_INCOMING : 0);
  return true;
}

static __always_inline void note_owner(const struct sock *sk, struct task_struct *task, __u32 flags) {
  __u64 sock = number_of(sk);
  struct owner *o = owner_slot(sock);
  if (!o) return;
  if (o->sock != sock || (flags & TW_CONNECTED_OUT)) {
    __builtin_memset(o, 0, sizeof(*o));
    o->sock = sock;
  }
  if (flags & TW_CONNECTED_OUT)
    o->opened_ns = bpf_ktime_get_ns();
  else
    o->closed_ticks = bpf_jiffies64();
  o->pid = task->tgid;
  o->flags |= flags | TW_OWNER_KNOWN;
  if (task->flags & PF_EXITING) {
    o->flags |= TW_OWNER_DYING;
    o->signal = task->exit_code & 0x7f;
  }
  put_comm(o->comm, task);
}

// A connection that was accepted: nobody owns it yet. It was opened when its SYN-ACK was sent, before anything else can have happened to it
// at either end; without a measured round trip that is not known.
static __always_inline void note_birth(const struct sock *sk) {
  __u64 sock = number_of(sk);
  struct owner *o = owner_slot(sock);
  if (!o) return;
  __builtin_memset(o, 0, sizeof(*o));
  o->sock = sock;
  const struct tcp_sock *tp = tcp_of(sk);
  const __u32 round_trip_us = tp ? tp->srtt_us >> 3 : 0;
  if (round_trip_us != 0) o->opened_ns = clock_of(tp) - round_trip_us * 1000ull;
}

// `e` has the tuple. Only one program notes ends, and it does not interrupt itself.
static __always_inline void note_end(const struct tw_event *e, const struct sock *sk, const struct tcp_sock *tp, const struct owner *o,
                                     __u64 now, __u8 old) {
  __u32 cpu = bpf_get_smp_processor_id();
  struct tw_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
  if (!c) return;
  const __u64 index = *(volatile __u64 *)&c->ended;
  __u32 slot = cpu * ended_slots + (index & (ended_slots - 1));
  struct tw_ended *end = bpf_map_lookup_elem(&ends, &slot);
  if (!end) return;
  *(volatile __u32 *)&end->serial = ~TW_SERIAL_BITS;
  asm volatile("" ::: "memory");
  end->key = tw_tuple_key(e);
  end->time_ns = now;
  end->state = old;
  end->error = sk->sk_err;
  end->unanswered_ticks = 0;
  end->took_nothing = tp->bytes_received <= 1;  // a FIN counts as one
  // We closed first: was it for lack of an answer? What the peer still sends will ask.
  if (old == TCP_FIN_WAIT1 || old == TCP_FIN_WAIT2) {
    if ((__s32)(tp->lsndtime - tp->inet_conn.icsk_ack.lrcvtime) > 0) end->unanswered_ticks = (__u32)bpf_jiffies64() - tp->lsndtime;
  }
  if (o) {
    end->pid = o->pid;
    __builtin_memcpy(end->comm, o->comm, sizeof(end->comm));
  } else {
    end->pid = 0;
    end->comm[0] = 0;
  }
  asm volatile("" ::: "memory");
  *(volatile __u32 *)&end->serial = (index + 1) & TW_SERIAL_BITS;
  *(volatile __u64 *)&c->ended = index + 1;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sk, int old, int now) {
  if (now == TCP_SYN_RECV || now == TCP_FIN_WAIT2 || now == TCP_CLOSING) return 0;
  struct tw_cpu *c = this_cpu();
  if (!c || sk->sk_protocol != IPPROTO_TCP || !is_ours_socket(sk, c)) return 0;
  if (now == TCP_ESTABLISHED) {
    c->opened++;
    if (old == TCP_SYN_RECV) note_birth(sk);
    return 0;
  }
  if (now == TCP_SYN_SENT) {
    // In connect(); the local port may not be chosen yet.
    note_owner(sk, bpf_get_current_task_btf(), TW_CONNECTED_OUT);
    return 0;
  }
  if (now == TCP_LISTEN || (old == TCP_LISTEN && now == TCP_CLOSE)) {
    struct tw_event *e = begin(TW_LISTEN);
    if (!e) return 0;
    put_socket(e, sk);
    put_task(e);
    forget_owner(sk);
    e->old_state = old;
    e->state = now;
    submit(e);
    return 0;
  }
  if (now == TCP_FIN_WAIT1 || now == TCP_LAST_ACK) {
    // In close() or shutdown(), or at the exit of the process.
    struct task_struct *task = bpf_get_current_task_btf();
    bool killed = (task->flags & PF_EXITING) && (task->exit_code & 0x7f);
    if (now == TCP_FIN_WAIT1) note_owner(sk, task, 0);
    if (!killed) return 0;
    struct tw_event *e = begin(TW_KILLED);
    if (!e) return 0;
    put_socket(e, sk);
    put_owner(e, owner_of(sk));
    put_task(e);
    e->old_state = old;
    e->state = now;
    submit(e);
    return 0;
  }
  if (now == TCP_CLOSE_WAIT) {
    struct owner *o = owner_of(sk);
    const struct tcp_sock *tp = o ? tcp_of(sk) : 0;
    if (tp) o->fin_ns = clock_of(tp);
    return 0;
  }
  if (now != TCP_CLOSE) return 0;
  struct owner *owner = owner_of(sk);
  if (owner) owner->ended = old;  // a RST may follow
  const bool connecting = old == TCP_SYN_SENT;
  if (!connecting) c->closed++;
  int error = sk->sk_err;
  const bool quiet = !connecting && (error == 0 || error == 104 || error == 32);  // ECONNRESET, EPIPE: told by their RST
  const struct tcp_sock *tp = tcp_of(sk);
  if (!tp) return 0;
  struct tw_event *e = quiet ? 0 : begin(connecting ? TW_CONNECT_FAILED : TW_DIED);
  if (!e) {
    struct tw_event tuple;  // only as much of an event as tw_tuple_key() reads
    __builtin_memset(tuple.local, 0, 32);
    put_ends(&tuple, &sk->__sk_common);
    tuple.netns = only_netns[0] != 0 && only_netns[1] == 0 ? only_netns[0] : netns_of(sk);
    put_port(&tuple, tp);
    // These ends come with a segment.
    const bool answered = old == TCP_LAST_ACK || old == TCP_FIN_WAIT2 || old == TCP_CLOSING;
    note_end(&tuple, sk, tp, owner, answered ? clock_of(tp) : bpf_ktime_get_ns(), old);
    return 0;
  }
  put_socket(e, sk);
  put_owner(e, owner);
  // The table's memory is cold, and where a RST has refused the SYN (ECONNREFUSED) nothing more comes.
  if (error != 111) note_end(e, sk, tp, owner, e->time_ns, old);
  e->old_state = old;
  e->state = now;
  submit(e);
  return 0;
}

static __always_inline int reset_sent(const struct sock *sk, const struct sk_buff *skb, __u32 reason) {
  __u32 netns = 0;
  if (sk)
    netns = netns_of(sk);
  else if (skb && skb->dev)
    netns = skb->dev->nd_net.net->ns.inum;
  if (!is_ours(netns)) return 0;
  // One that answers no segment is sent by the connection itself, which has just looked at the clock.
  const struct tcp_sock *tp = sk && !skb ? tcp_of(sk) : 0;
  struct tw_event *e = begin_at(TW_RESET_SENT, tp ? clock_of(tp) : 0);
  if (!e) return 0;
  e->reason = reason;
  bool closing = false;
  if (sk) {
    __u8 state = sk->__sk_common.skc_state;
    if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV) {
      put_common(e, &sk->__sk_common);
      e->flags |= TW_NOT_FULL;
    } else {
      put_socket(e, sk);
      put_owner(e, owner_of(sk));
      closing = state == TCP_CLOSE || state == TCP_FIN_WAIT1 || state == TCP_CLOSING;  // mostly it is closed before its RST is sent
    }
  }
  e->netns = netns;
  const __u32 next = e->seq;
  // The packet knows the peer where the socket is a listener (its own remote end is empty).
  if (skb && put_packet(e, skb, true) && closing && (__s32)(e->ack - next) < 0) e->flags |= TW_FIN_UNSEEN;
  // The keepalive timer interrupts whoever happens to run: that is nobody's doing.
  if (!skb && !(bpf_core_enum_value_exists(enum sk_rst_reason, SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT) &&
                reason == bpf_core_enum_value(enum sk_rst_reason, SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT)))
    put_task(e);
  submit(e);
  return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_reset_sent, const struct sock *sk, const struct sk_buff *skb, int reason) {
  return reset_sent(sk, skb, reason);
}
// Kernels before 6.10 name no reason.
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_reset_sent_plain, const struct sock *sk, const struct sk_buff *skb) {
  return reset_sent(sk, skb, 0);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_reset_received, struct sock *sk) {
  if (!is_ours(netns_of(sk))) return 0;
  if (sk->__sk_common.skc_state == TCP_SYN_SENT) return 0;  // told as a failed connect
  const struct tcp_sock *tp = tcp_of(sk);
  struct tw_event *e = tp ? begin_at(TW_RESET_RECEIVED, clock_of(tp)) : 0;
  if (!e) return 0;
  put_socket(e, sk);
  const struct owner *o = owner_of(sk);
  put_owner(e, o);
  const struct sk_buff *waiting = (const struct sk_buff *)sk->tcp_rtx_queue.rb_node;  // linked by its first field
  if (o && o->fin_ns && waiting && BPF_CORE_READ(waiting, skb_mstamp_ns) < o->fin_ns) e->flags |= TW_FIN_CROSSED;
  submit(e);
  return 0;
}

static __always_inline __u8 ttl_of(const struct sk_buff *skb) {
  const bool six = skb->protocol == __builtin_bswap16(0x86dd);
  const unsigned char *at = skb->head + skb->network_header;
  if (may_cast) {
    if (six) return ((const struct ipv6hdr *)bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct ipv6hdr)))->hop_limit;
    return ((const struct iphdr *)bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct iphdr)))->ttl;
  }
  __u8 ip[16];
  if (bpf_probe_read_kernel(ip, sizeof(ip), at)) return 0;
  return six ? ip[7] : ip[8];
}

// A segment of an open connection comes in: the first one's TTL is the peer's, and a RST with another is not.
SEC("tp_btf/tcp_probe")
int BPF_PROG(on_segment, const struct sock *sk, const struct sk_buff *skb) {
  struct tw_cpu *c = this_cpu();
  if (!c || !is_ours_socket(sk, c)) return 0;
  __u64 sock = number_of(sk);
  struct owner *o = owner_slot(sock);
  if (!o) return 0;
  const bool reset = tcp_flags_of(skb) & 4;
  if (o->sock == sock && o->ttl && !reset) return 0;
  const __u8 ttl = ttl_of(skb);
  if (o->sock != sock) {
    if (reset) return 0;
    __builtin_memset(o, 0, sizeof(*o));
    o->sock = sock;
  }
  if (reset)
    o->reset_ttl = ttl;
  else
    o->ttl = ttl;
  return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(on_retransmit, const struct sock *sk, const struct sk_buff *skb) {
  if (!sk || !is_ours(netns_of(sk))) return 0;
  const struct tcp_sock *tp = tcp_of(sk);
  if (!tp) return 0;
  __u8 state = sk->__sk_common.skc_state, tries = tp->inet_conn.icsk_retransmits;
  if (state != TCP_SYN_SENT && tries < retransmits_told) return 0;
  struct tw_event *e = begin(TW_RETRANSMIT);
  if (!e) return 0;
  put_socket(e, sk);
  put_owner(e, owner_of(sk));
  submit(e);
  return 0;
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(on_synack, const struct sock *sk, const struct request_sock *req) {
  if (!sk || !req || !is_ours(netns_of(sk))) return 0;
  struct tw_event *e = begin(TW_SYNACK_REPEATED);
  if (!e) return 0;
  put_socket(e, sk);
  put_owner(e, owner_of(sk));
  put_common(e, &req->__req_common);
  e->state = TCP_SYN_RECV;
  e->tries = BPF_CORE_READ_BITFIELD_PROBED(req, num_timeout);
  e->probes = req->num_retrans;
  if (BPF_CORE_READ_BITFIELD_PROBED((struct inet_request_sock *)req, acked)) e->flags |= TW_REQ_ACKED;
  submit(e);
  return 0;
}

// Is this packet on its way out of the socket that owns it? One that came in may belong to a socket, too (early demux).
static __always_inline bool leaves(const struct tw_event *e, const struct sock *sk) {
  __u16 port = __builtin_bswap16(sk->__sk_common.skc_dport);
  return e->local_port == sk->__sk_common.skc_num && (port == 0 || port == e->remote_port) &&
         (e->family == 6 || *(const __u32 *)e->local == sk->__sk_common.skc_rcv_saddr || sk->__sk_common.skc_rcv_saddr == 0);
}

static __always_inline int dropped(const struct sk_buff *skb, __u32 reason, const struct sock *receiver) {
  // A SYN that TIME_WAIT answers with an ACK is dropped without a reason.
  const bool resting = reason == SKB_DROP_REASON_NOT_SPECIFIED && receiver && receiver->__sk_common.skc_state == TCP_TIME_WAIT &&
                       (tcp_flags_of(skb) & 0x12) == 2;
  __u64 known = reason;
  asm volatile("%0 &= 255" : "+r"(known));  // so that the verifier sees it; the compiler would leave it out
  if (!resting && (reason != known || !told_reasons[known])) return 0;
  if (!resting && told_reasons[known] == TW_TELL_RESET && !(tcp_flags_of(skb) & 4)) return 0;
  __u16 protocol = skb->protocol;
  if (protocol != __builtin_bswap16(0x0800) && protocol != __builtin_bswap16(0x86dd)) return 0;
  const struct sock *owner = skb->sk;
  __u32 netns = 0;  // not known: a segment on its way into a socket has no device any more
  if (receiver)
    netns = netns_of(receiver);
  else if (skb->dev)
    netns = skb->dev->nd_net.net->ns.inum;
  else if (owner)
    netns = netns_of(owner);
  if (netns != 0 && !is_ours(netns)) return 0;
  struct tw_event *e = begin(TW_DROPPED);
  if (!e) return 0;
  bool tcp = put_packet(e, skb, owner == 0 || receiver != 0);
  if (tcp && owner && !receiver && !leaves(e, owner)) {
    tcp = put_packet(e, skb, true);
    receiver = owner;
  } else if (!receiver) {
    receiver = owner;
  }
  if (!tcp) {
    discard(e);
    return 0;
  }
  if (resting) e->state = TCP_TIME_WAIT;
  if (receiver && receiver->__sk_common.skc_state != TCP_TIME_WAIT && receiver->__sk_common.skc_state != TCP_NEW_SYN_RECV) {
    e->state = receiver->__sk_common.skc_state;
    put_inode(e, receiver);
    put_owner(e, owner_of(receiver));
    if (e->state == TCP_LISTEN) {
      e->queue = receiver->sk_ack_backlog;
      e->queue_limit = receiver->sk_max_ack_backlog;
    } else if (e->state != TCP_SYN_SENT && e->state != TCP_CLOSE && receiver->sk_protocol == IPPROTO_TCP) {
      const struct tcp_sock *tp = (const struct tcp_sock *)receiver;  // read by probes: it need not be one the verifier knows
      __u32 end = e->seq + e->payload + (e->tcp_flags & 1), next = BPF_CORE_READ(tp, rcv_nxt);
      e->bytes_acked = BPF_CORE_READ(tp, bytes_acked);
      e->bytes_in = BPF_CORE_READ(tp, bytes_received);
      if ((__s32)(end - next) > 0) e->flags |= TW_NEW_DATA;
      if ((e->tcp_flags & 0x12) == 0x12 && e->seq + 1 + (__u32)e->bytes_in != next) e->flags |= TW_OTHER_ISN;
    }
  }
  e->netns = netns != 0 || only_netns[1] != 0 ? netns : only_netns[0];
  e->reason = reason;
  submit(e);
  return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(on_drop, const struct sk_buff *skb, void *where, __u32 reason, const struct sock *receiver) {
  return dropped(skb, reason, receiver);
}
// Kernels before 6.11 do not say which socket was to receive it.
SEC("tp_btf/kfree_skb")
int BPF_PROG(on_drop_plain, const struct sk_buff *skb, void *where, __u32 reason) { return dropped(skb, reason, 0); }

// A filter that rejects drops the packet too; this tells the two apart. (IPv6 has no such tracepoint.)
SEC("tp_btf/icmp_send")
int BPF_PROG(on_icmp_sent, const struct sk_buff *skb, int type, int code) {
  if (type != 3 || (code != 3 && code != 9 && code != 10 && code != 13)) return 0;
  if (!skb->dev || !is_ours(skb->dev->nd_net.net->ns.inum)) return 0;
  struct tw_event *e = begin(TW_ICMP_SENT);
  if (!e) return 0;
  if (!put_packet(e, skb, true)) {
    discard(e);
    return 0;
  }
  e->netns = skb->dev->nd_net.net->ns.inum;
  e->reason = type << 8 | code;
  submit(e);
  return 0;
}
