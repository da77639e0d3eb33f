#include "script/call.hpp"

#include <fmt/format.h>

#include <iterator>

#include "script/symbols.hpp"

namespace tcpwhy::script {
namespace {

class Arguments {
 public:
  Arguments(const Syscall& syscall, int line) : syscall_{syscall}, line_{line} {}

  [[noreturn]] void refuse(const std::string& what) const {
    throw Complaint{line_, syscall_.name + ": " + what};
  }

  void count(std::size_t least, std::size_t most) const {
    const std::size_t n = syscall_.arguments.size();
    if (n < least || n > most) refuse(fmt::format("takes {} arguments, not {}", least, n));
  }
  void count(std::size_t n) const { count(n, n); }

  [[nodiscard]] const Expr& at(std::size_t i) const { return syscall_.arguments[i]; }

  [[nodiscard]] std::int64_t number(const Expr& e) const {
    if (e.kind == Expr::Kind::kInteger) return e.number;
    if (e.kind == Expr::Kind::kWord) {
      if (const auto value = symbol(e.text)) return *value;
      refuse("a name that is not known: " + e.text);
    }
    if (e.kind == Expr::Kind::kCall && e.text == "|") return number(e.items[0]) | number(e.items[1]);
    refuse("a number expected");
  }
  [[nodiscard]] std::int64_t number(std::size_t i) const { return number(at(i)); }
  [[nodiscard]] int fd(std::size_t i) const { return static_cast<int>(number(i)); }

  // `...`: whatever the address or length is.
  void ellipsis(std::size_t i) const {
    if (at(i).kind != Expr::Kind::kEllipsis) refuse("`...` expected");
  }

  [[nodiscard]] Buffer buffer(std::size_t i) const {
    if (at(i).kind == Expr::Kind::kEllipsis) return Buffer::kGiven;
    if (number(i) == 0) return Buffer::kNull;
    refuse("`...` or NULL expected");
  }

  [[nodiscard]] std::int64_t bracketed(const Expr& e) const {
    if (e.kind != Expr::Kind::kList || e.items.size() != 1) refuse("a value in brackets expected");
    return number(e.items[0]);
  }

  [[nodiscard]] Peer peer(std::size_t i) const {
    if (at(i).kind == Expr::Kind::kEllipsis) return Peer::kTest;
    if (number(i) == 0) return Peer::kUnspecified;
    refuse("an address that is not known");
  }

  // [{..., 10}, {..., 20}]
  [[nodiscard]] std::int64_t vector_bytes(const Expr& list, std::int64_t expected) const {
    if (list.kind != Expr::Kind::kList || static_cast<std::int64_t>(list.items.size()) != expected)
      refuse("a vector whose length is not the one given");
    std::int64_t bytes = 0;
    for (const Expr& item : list.items) {
      if (item.kind != Expr::Kind::kStruct || item.fields.size() != 2 ||
          item.fields[0].value->kind != Expr::Kind::kEllipsis)
        refuse("a vector is written {..., bytes}");
      const std::int64_t piece = number(*item.fields[1].value);
      if (piece < 0 || piece > INT32_MAX) refuse("a piece of a vector has an impossible length");
      bytes += piece;
    }
    return bytes;
  }

 private:
  const Syscall& syscall_;
  int line_;
};

void message(const Arguments& args, Call& call) {
  const Expr& message = args.at(1);
  if (message.kind != Expr::Kind::kStruct || message.fields.size() != 3 ||
      message.fields[0].name != "msg_name" || message.fields[1].name != "msg_iov" ||
      message.fields[2].name != "msg_flags" || !message.fields[1].length)
    args.refuse("a msghdr that is not understood");
  call.number = args.vector_bytes(*message.fields[1].value, *message.fields[1].length);
  if (args.number(*message.fields[2].value) != 0)
    args.refuse("msg_flags is ignored by the kernel: 0 expected");
  call.peer = Peer::kTest;
  call.flags = args.number(2);
}

ControlMessage control_message(const Arguments& args, const Expr& message) {
  if (message.kind != Expr::Kind::kStruct || message.fields.size() != 3 || message.fields[0].name != "cmsg_level" ||
      message.fields[1].name != "cmsg_type" || message.fields[2].name != "cmsg_data")
    args.refuse("a cmsghdr is written {cmsg_level=, cmsg_type=, cmsg_data=}");
  ControlMessage out{static_cast<int>(args.number(*message.fields[0].value)),
                     static_cast<int>(args.number(*message.fields[1].value)),
                     {}};
  const Expr& data = *message.fields[2].value;
  if (data.kind != Expr::Kind::kStruct) {
    out.data = {args.number(data)};
    return out;
  }
  constexpr std::string_view kNames[] = {"ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (data.fields.size() != std::size(kNames) || data.fields[i].name != kNames[i])
      args.refuse("a cmsg_data that is not understood");
    out.data.push_back(args.number(*data.fields[i].value));
  }
  return out;
}

void received_message(const Arguments& args, Call& call) {
  const Expr& message = args.at(1);
  if (message.kind != Expr::Kind::kStruct) args.refuse("a msghdr expected");
  call.message.emplace();
  bool vector = false;
  for (const Field& field : message.fields) {
    if (field.name == "msg_name" && field.value->kind == Expr::Kind::kEllipsis) continue;
    if (field.name == "msg_iov" && field.length) {
      call.number = args.vector_bytes(*field.value, *field.length);
      vector = true;
    } else if (field.name == "msg_flags") {
      call.message->flags = args.number(*field.value);
    } else if (field.name == "msg_control" && field.value->kind == Expr::Kind::kList) {
      for (const Expr& one : field.value->items) call.message->control.push_back(control_message(args, one));
    } else {
      args.refuse("a msghdr that is not understood: " + field.name);
    }
  }
  if (!vector) args.refuse("a msghdr without msg_iov");
  call.flags = args.number(2);
}

void option_value(const Arguments& args, Call& call) {
  const Expr& value = args.at(3);
  if (value.kind == Expr::Kind::kString) {
    call.value = value.text;
  } else if (value.kind == Expr::Kind::kStruct && value.fields.size() == 2 &&
             value.fields[0].name == "onoff" && value.fields[1].name == "linger") {
    call.value = (args.number(*value.fields[0].value) << 32) | args.number(*value.fields[1].value);
  } else {
    call.value = args.bracketed(value);
  }
}

void polled(const Arguments& args, Call& call) {
  if (args.at(0).kind != Expr::Kind::kList) args.refuse("a list of pollfd expected");
  for (const Expr& item : args.at(0).items) {
    if (item.kind != Expr::Kind::kStruct || item.fields.size() < 2 || item.fields[0].name != "fd" ||
        item.fields[1].name != "events")
      args.refuse("a pollfd is written {fd=, events=, revents=}");
    PollEntry entry{static_cast<int>(args.number(*item.fields[0].value)),
                    static_cast<int>(args.number(*item.fields[1].value)), 0};
    if (item.fields.size() > 2) entry.revents = static_cast<int>(args.number(*item.fields[2].value));
    call.polled.push_back(entry);
  }
  if (args.number(1) != static_cast<std::int64_t>(call.polled.size()))
    args.refuse("the number of pollfd is not the one given");
  call.number = args.number(2);
}

EpollEvent epoll_event(const Arguments& args, std::size_t i) {
  const Expr& event = args.at(i);
  if (event.kind != Expr::Kind::kStruct || event.fields.size() != 2 || event.fields[0].name != "events")
    args.refuse("an epoll_event is written {events=, fd=}");
  const std::string& data = event.fields[1].name;
  if (data != "fd" && data != "ptr" && data != "u32" && data != "u64")
    args.refuse("an epoll_event carries fd, ptr, u32 or u64, not " + data);
  return {static_cast<std::uint32_t>(args.number(*event.fields[0].value)), args.number(*event.fields[1].value)};
}

Call understand(const Syscall& syscall, const Arguments& args) {
  const std::string& name = syscall.name;
  Call call;
  const auto with_fd = [&](CallName as) {
    call.name = as;
    call.fd = args.fd(0);
  };
  if (name == "socket") {
    args.count(3);
    args.ellipsis(0);
    call.name = CallName::kSocket;
    call.number = args.number(1);
    if ((call.number & 0xF) != 1 || (args.number(2) != 6 && args.number(2) != 0))
      args.refuse("only TCP sockets are supported");
  } else if (name == "bind") {
    args.count(3);
    with_fd(CallName::kBind);
    args.ellipsis(1);
    args.ellipsis(2);
  } else if (name == "listen") {
    args.count(2);
    with_fd(CallName::kListen);
    call.number = args.number(1);
  } else if (name == "accept") {
    args.count(3);
    with_fd(CallName::kAccept);
    args.ellipsis(1);
    args.ellipsis(2);
  } else if (name == "connect") {
    args.count(3);
    with_fd(CallName::kConnect);
    call.peer = args.peer(1);
    args.ellipsis(2);
  } else if (name == "read" || name == "recv" || name == "recvfrom") {
    args.count(name == "read" ? 3 : name == "recv" ? 4 : 6);
    with_fd(CallName::kRead);
    call.buffer = args.buffer(1);
    call.number = args.number(2);
    if (name != "read") call.flags = args.number(3);
  } else if (name == "write" || name == "send" || name == "sendto") {
    args.count(name == "write" ? 3 : name == "send" ? 4 : 6);
    with_fd(CallName::kWrite);
    call.buffer = args.buffer(1);
    call.number = args.number(2);
    if (name != "write") call.flags = args.number(3);
    if (name == "sendto") call.peer = args.peer(4);
  } else if (name == "readv" || name == "writev") {
    args.count(3);
    with_fd(name == "readv" ? CallName::kRead : CallName::kWrite);
    call.number = args.vector_bytes(args.at(1), args.number(2));
  } else if (name == "sendmsg") {
    args.count(3);
    with_fd(CallName::kWrite);
    message(args, call);
  } else if (name == "recvmsg") {
    args.count(3);
    with_fd(CallName::kRead);
    received_message(args, call);
  } else if (name == "close") {
    args.count(1);
    with_fd(CallName::kClose);
  } else if (name == "shutdown") {
    args.count(2);
    with_fd(CallName::kShutdown);
    call.number = args.number(1);
  } else if (name == "fcntl") {
    args.count(2, 3);
    with_fd(CallName::kFcntl);
    call.number = args.number(1);
    if (syscall.arguments.size() == 3) call.flags = args.number(2);
  } else if (name == "ioctl") {
    args.count(3);
    with_fd(CallName::kIoctl);
    call.number = args.number(1);
    call.value = args.bracketed(args.at(2));
  } else if (name == "getsockopt" || name == "setsockopt") {
    args.count(5);
    with_fd(name == "getsockopt" ? CallName::kGetsockopt : CallName::kSetsockopt);
    call.level = static_cast<int>(args.number(1));
    call.option = static_cast<int>(args.number(2));
    option_value(args, call);
    call.value_bytes = name == "getsockopt" ? args.bracketed(args.at(4)) : args.number(4);
  } else if (name == "poll") {
    args.count(3);
    call.name = CallName::kPoll;
    polled(args, call);
  } else if (name == "epoll_create") {
    args.count(1);
    call.name = CallName::kEpollCreate;
    call.number = args.number(0);
  } else if (name == "epoll_ctl") {
    args.count(4);
    with_fd(CallName::kEpollCtl);
    call.number = args.number(1);
    call.target = args.fd(2);
    call.event = epoll_event(args, 3);
  } else if (name == "epoll_wait") {
    args.count(4);
    with_fd(CallName::kEpollWait);
    call.event = epoll_event(args, 1);
    call.at_most = args.number(2);
    call.number = args.number(3);
  } else {
    args.refuse("this system call is not supported");
  }
  return call;
}

}  // namespace

std::variant<Call, Complaint> understand_call(const Syscall& syscall, int line) {
  try {
    return understand(syscall, Arguments{syscall, line});
  } catch (const Complaint& complaint) {
    return complaint;
  }
}

std::variant<std::int64_t, Complaint> understand_number(const Expr& expr, int line) {
  const Syscall none;
  try {
    return Arguments{none, line}.number(expr);
  } catch (const Complaint& complaint) {
    return complaint;
  }
}

}  // namespace tcpwhy::script
