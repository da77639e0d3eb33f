// Which process holds which file: the kernel walks its own tables (an iterator), where /proc would make a directory entry
// and a link of every descriptor. Two numbers a descriptor: the inode, 0 for what is no socket, and the process.

#include "core.h"
//
#include <bpf/bpf_helpers.h>
//
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; } CORE;
struct bpf_iter__task_file {
  struct bpf_iter_meta *meta;
  struct task_struct *task;
  struct file *file;
} CORE;

SEC("iter/task_file")
int each_file(struct bpf_iter__task_file *at) {
  struct task_struct *task = at->task;
  struct file *file = at->file;
  if (!task || !file) return 0;
  struct inode *inode = file->f_inode;
  __u32 held[2] = {0, task->tgid};
  if ((inode->i_mode & 0170000) == 0140000) held[0] = inode->i_ino;  // S_ISSOCK
  bpf_seq_write(at->meta->seq, held, sizeof(held));
  return 0;
}
