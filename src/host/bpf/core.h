// The few kernel types the programs look into, declared by ourselves so that a machine without BTF can build them.
// Only names count: libbpf finds the fields' real places in the running kernel's own description when it loads
// (CO-RE). Order and size here mean nothing.
#pragma once

typedef __UINT8_TYPE__ __u8;
typedef __UINT16_TYPE__ __u16;
typedef __UINT32_TYPE__ __u32;
typedef __UINT64_TYPE__ __u64;
typedef __INT8_TYPE__ __s8;
typedef __INT16_TYPE__ __s16;
typedef __INT32_TYPE__ __s32;
typedef __INT64_TYPE__ __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false, true };

// include/uapi/linux/bpf.h: numbers of the system call's interface.
enum { BPF_MAP_TYPE_ARRAY = 2 };
enum { BPF_F_MMAPABLE = 1024 };

#define CORE __attribute__((preserve_access_index))

struct ns_common { unsigned int inum; } CORE;
struct net { struct ns_common ns; } CORE;
typedef struct { struct net *net; } possible_net_t;
struct in6_addr { __u8 u6_addr8[16]; };
struct sock_common {
  __be32 skc_daddr, skc_rcv_saddr;
  __be16 skc_dport;
  __u16 skc_num;
  unsigned short skc_family;
  volatile unsigned char skc_state;
  possible_net_t skc_net;
  struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
  unsigned long skc_flags;
} CORE;
struct inode {
  unsigned short i_mode;
  unsigned long i_ino;
} CORE;
struct file { struct inode *f_inode; } CORE;
struct socket { struct file *file; } CORE;
struct rb_node { unsigned long __rb_parent_color; };
struct rb_root { struct rb_node *rb_node; } CORE;
struct sock {
  struct sock_common __sk_common;
  struct rb_root tcp_rtx_queue;
  unsigned long sk_ino;  // since 6.18
  struct socket *sk_socket;
  int sk_err;
  __u16 sk_protocol;
  __u32 sk_ack_backlog, sk_max_ack_backlog;
  unsigned long sk_lingertime;
} CORE;
struct request_sock_queue { __u8 rskq_defer_accept; } CORE;
struct inet_sock {
  struct sock sk;
  __be16 inet_sport;
} CORE;
struct inet_connection_sock {
  struct inet_sock icsk_inet;
  struct request_sock_queue icsk_accept_queue;
  struct { __u32 lrcvtime; } CORE icsk_ack;
  __u8 icsk_retransmits, icsk_backoff, icsk_probes_out;
  __u32 icsk_user_timeout;
} CORE;
struct tcp_sock {
  struct inet_connection_sock inet_conn;
  __u64 bytes_received, bytes_acked, bytes_sent, tcp_clock_cache;
  __u32 lsndtime;
  __u32 rcv_nxt, copied_seq, write_seq, snd_una, snd_nxt, total_retrans, srtt_us;
  __u32 mss_cache;
} CORE;
struct request_sock {
  struct sock_common __req_common;
  __u8 num_retrans;
  __u8 num_timeout : 7;
} CORE;
struct inet_request_sock { __u16 acked : 1; } CORE;
struct net_device { possible_net_t nd_net; } CORE;
struct sk_buff {
  struct net_device *dev;
  struct sock *sk;
  __be16 protocol;
  __u16 network_header, transport_header;
  unsigned char *head;
  unsigned int len, data_len;
  __u64 skb_mstamp_ns;
  char cb[48];
} CORE;
struct iphdr { __u8 ttl; } CORE;
struct ipv6hdr { __u8 hop_limit; } CORE;
struct tcp_skb_cb { __u8 tcp_flags; } CORE;
enum skb_drop_reason { SKB_DROP_REASON_NOT_SPECIFIED = 2 };
struct task_struct {
  unsigned int flags;
  int exit_code;
  int tgid;
  char comm[16];
} CORE;
enum sk_rst_reason { SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT = 15 };
enum sock_flags { SOCK_DEAD = 0, SOCK_LINGER = 4 };

// include/net/tcp_states.h
enum {
  TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE,
  TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING, TCP_NEW_SYN_RECV
};
