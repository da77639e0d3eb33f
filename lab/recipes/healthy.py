"""Traffic with nothing wrong in it, as varied as it comes: the worst mistake is a fault reported here."""

import random
import socket
import threading
import time

import packet
from net import CLIENT, SERVER, SERVER6
from raw import Talker, data, has
from run import (ESTABLISHED, drain, filler, recipe, recv_exact, recv_response, recv_until, request,
                 response, tcp_state, tls_record, unacked, wait_until)
from recipes.handshake import end_both

NOTE = ["", "packet-loss", "reordering", "path-delay-spike"]


def close_by_server(run, client, server):
    server.close()
    wait_until(lambda: client.recv(1) == b"", 10)
    client.close()


def send_all(sock, body):
    """A sender that does not block the recipe."""
    thread = threading.Thread(target=sock.sendall, args=(body,), daemon=True)
    thread.start()
    return thread


@recipe("healthy/http-one-request", wire=0.010)
def one_request(run):
    """One request, one response, the client closes first.
    Rule: linux-tcp.md 9.4.
    Healthy, no diagnosis."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=[], accept=[""])


@recipe("healthy/http-server-closes", offload=False)
def server_closes(run):
    """Connection: close, the server closes first.
    Rule: linux-tcp.md 9.4.
    Healthy, no diagnosis."""
    for _ in range(4):
        client, server = run.pair()
        name = client.getsockname()
        run.exchange(client, server, answer=response(700, close=True))
        close_by_server(run, client, server)
        run.connection(name, truth=[], accept=["", "server-idle-close"])


@recipe("healthy/keep-alive", limit=40, wire=0.012)
def keep_alive(run):
    """Thirty requests on one connection with pauses, then the client closes.
    Rule: linux-tcp.md 9.4.
    Healthy, no diagnosis."""
    client, server = run.pair()
    name = client.getsockname()
    for n in range(30):
        run.exchange(client, server, request("/%d" % n), response(50 + 97 * n))
        time.sleep(0.05 if n % 7 else 0.8)
    end_both(run, client, server)
    run.connection(name, truth=[], accept=[""])


@recipe("healthy/server-idle-close", limit=30, wire=0.008)
def idle_close(run):
    """The server closes an idle keep-alive connection after six seconds; the client notices and closes.
    Rule: linux-tcp.md 12.1.
    Healthy; server-idle-close as a note."""
    for _ in range(2):
        client, server = run.pair()
        name = client.getsockname()
        run.exchange(client, server)
        time.sleep(6)
        close_by_server(run, client, server)
        run.connection(name, truth=["server-idle-close"], accept=["", "server-idle-close"])


@recipe("server-idle-close/default-75-seconds", limit=110)
def idle_close_75(run):
    """nginx's 75 s without a request, then an orderly close that loses nothing.
    Rule: linux-tcp.md 12.1.
    Healthy; server-idle-close as a note."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    time.sleep(75)
    close_by_server(run, client, server)
    run.connection(name, truth=["server-idle-close"], accept=["", "server-idle-close"])


@recipe("server-idle-close/client-closes-later", limit=30, offload=False)
def idle_close_later(run):
    """The server closes the idle connection after three seconds; the pool closes its end four seconds later.
    Rule: linux-tcp.md 9.4.
    Healthy; server-idle-close or half-close as a note."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    time.sleep(3)
    server.close()
    time.sleep(4)
    client.close()
    run.connection(name, truth=["server-idle-close"], accept=["", "server-idle-close", "half-close"])


@recipe("healthy/tls-looking", wire=0.015)
def tls(run):
    """A conversation of TLS records on 443: handshake flights, application data, close notify, close.
    Rule: linux-tcp.md 9.4.
    Healthy, no diagnosis."""
    for _ in range(3):
        client, server = run.pair(443)
        name = client.getsockname()
        for side, other, kind, size in ((client, server, 22, 517), (server, client, 22, 3800), (client, server, 20, 74),
                                        (client, server, 23, 400), (server, client, 23, 5200), (client, server, 23, 380),
                                        (server, client, 23, 900), (client, server, 21, 19)):
            side.sendall(tls_record(kind, size))
            recv_exact(other, size + 5)
        end_both(run, client, server)
        run.connection(name, (SERVER, 443), [], [""])


@recipe("healthy/tls-close-notify-reset", wire=0.010, offload=False)
def tls_close_reset(run):
    """The client sends close notify and closes; the server's own close notify meets the closed socket.
    Rule: linux-tcp.md 7.2 N8/N10: a RST after everything was delivered.
    Healthy; reset-after-close as a note."""
    client, server = run.pair(443)
    name = client.getsockname()
    client.sendall(tls_record(23, 400))
    recv_exact(server, 405)
    server.sendall(tls_record(23, 4000))
    recv_exact(client, 4005)
    client.sendall(tls_record(21, 19))
    client.close()
    recv_exact(server, 24)
    server.sendall(tls_record(21, 19))
    time.sleep(0.2)
    server.close()
    run.connection(name, (SERVER, 443), ["reset-after-close"], ["", "reset-after-close"])


@recipe("healthy/long-idle", limit=40)
def long_idle(run):
    """A connection that is used, rests for 20 s, is used again and rests once more.
    Rule: linux-tcp.md 9.3.
    Healthy, no diagnosis."""
    client, server = run.pair(22)
    for _ in range(2):
        client.sendall(b"ls\n")
        server.recv(10)
        server.sendall(filler(120))
        recv_exact(client, 120)
        time.sleep(20 if _ == 0 else 1)
    name = client.getsockname()
    end_both(run, client, server)
    run.connection(name, (SERVER, 22), [], [""])


@recipe("healthy/keepalive-answered", limit=40, wire=0.004)
def keepalive_answered(run):
    """An idle connection kept alive by probes that are answered.
    Rule: linux-tcp.md 8.6.
    Healthy; idle-open as a note."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
               (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)]
    client, server = run.pair(5432, client_options=options)
    client.sendall(b"select 1;")
    server.recv(100)
    server.sendall(b"1\n")
    client.recv(100)
    time.sleep(9)
    run.connection(client, (SERVER, 5432), ["idle-open"], ["", "idle-open"], "open")
    run.expect("client", TCPKeepAlive=3)
    run.hold(client, server)


@recipe("idle-open/nothing-happens", limit=30)
def idle_open(run):
    """A connection is opened, used once and then simply stays; the capture ends.
    Rule: linux-tcp.md 9.3.
    Healthy; idle-open as a note."""
    client, server = run.pair(5432)
    client.sendall(b"select 1;")
    server.recv(100)
    server.sendall(b"1\n")
    client.recv(100)
    time.sleep(8)
    run.connection(client, (SERVER, 5432), ["idle-open"], ["", "idle-open"], "open")
    run.hold(client, server)


@recipe("idle-open/never-used", limit=30, offload=False, wire=0.002)
def never_used(run):
    """A pool opens three connections and uses none of them while the capture runs.
    Rule: linux-tcp.md 1.1.
    Healthy; idle-open or no-data as a note."""
    for _ in range(3):
        client, server = run.pair(5432)
        run.connection(client, (SERVER, 5432), ["idle-open"], ["", "idle-open", "no-data"], "open")
        run.hold(client, server)
    time.sleep(6)


@recipe("no-data/health-check", wire=0.006)
def health_check(run):
    """A health checker connects and closes, orderly, without a byte.
    Rule: linux-tcp.md 9.4.
    Healthy; no-data as a note."""
    for _ in range(3):
        client, server = run.pair(8080)
        name = client.getsockname()
        end_both(run, client, server)
        run.connection(name, (SERVER, 8080), ["no-data"], ["", "no-data"])
        time.sleep(0.3)


@recipe("no-data/v6", offload=False)
def no_data_v6(run):
    """The same over IPv6.
    Rule: linux-tcp.md 9.4.
    Healthy; no-data as a note."""
    client, server = run.pair(8080, v6=True)
    name = client.getsockname()
    end_both(run, client, server)
    run.connection(name, (SERVER6, 8080), ["no-data"], ["", "no-data"])


@recipe("half-close/rsh-like", wire=0.010)
def half_close(run):
    """The client sends everything, shuts its sending side and receives the answer for two more seconds.
    Rule: linux-tcp.md 9.4: FIN_WAIT2 without limit for a half-closed socket.
    Healthy; half-close as a note."""
    client, server = run.pair(7000)
    name = client.getsockname()
    client.sendall(filler(3000))
    client.shutdown(socket.SHUT_WR)
    drain(server)
    for _ in range(4):
        server.sendall(filler(700))
        time.sleep(0.5)
    close_by_server_after(client, server, 2800)
    run.connection(name, (SERVER, 7000), ["half-close"], ["", "half-close"])


def close_by_server_after(client, server, size):
    recv_exact(client, size)
    server.close()
    wait_until(lambda: client.recv(1) == b"", 10)
    client.close()


@recipe("half-close/still-open", offload=False)
def half_open_still(run):
    """The same; the capture ends while the server still sends.
    Rule: linux-tcp.md 9.4.
    Healthy; half-close as a note, outcome half-closed."""
    client, server = run.pair(7000)
    client.sendall(filler(300))
    client.shutdown(socket.SHUT_WR)
    drain(server)
    for _ in range(5):
        server.sendall(filler(500))
        time.sleep(0.4)
    recv_exact(client, 2500)
    run.connection(client, (SERVER, 7000), ["half-close"], ["", "half-close"], "half-closed")
    run.hold(client, server)


@recipe("half-close/http-1.0", wire=0.004)
def half_close_http(run):
    """A client half-closes after its request and gets the whole response.
    Rule: linux-tcp.md 9.4.
    Healthy; half-close as a note."""
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(request())
    client.shutdown(socket.SHUT_WR)
    recv_until(server)
    server.sendall(response(6000, close=True))
    server.close()
    drain(client)
    client.close()
    run.connection(name, truth=["half-close"], accept=["", "half-close"])


@recipe("simultaneous-close/crossing-fins", wire=0.040)
def simultaneous_close(run):
    """Both sides close at the same moment and their FINs cross.
    Rule: linux-tcp.md 9.4: FIN_WAIT1, CLOSING, TIME_WAIT on both sides.
    Healthy; simultaneous-close as a note."""
    for _ in range(2):
        client, server = run.pair()
        name = client.getsockname()
        run.exchange(client, server)
        time.sleep(0.2)
        client.close()
        server.close()
        time.sleep(0.3)
        run.connection(name, truth=["simultaneous-close"], accept=["", "simultaneous-close"])


@recipe("simultaneous-close/v6", wire=0.040, offload=False)
def simultaneous_close_v6(run):
    """The same over IPv6.
    Rule: linux-tcp.md 9.4.
    Healthy; simultaneous-close as a note."""
    client, server = run.pair(v6=True)
    name = client.getsockname()
    run.exchange(client, server)
    time.sleep(0.2)
    server.close()
    client.close()
    time.sleep(0.3)
    run.connection(name, truth=["simultaneous-close"], accept=["", "simultaneous-close"])


def transfer(run, size, upload=False, v6=False, port=80, close="receiver"):
    client, server = run.pair(port, v6=v6)
    name = client.getsockname()
    source, sink = (client, server) if upload else (server, client)
    if upload:
        thread = send_all(client, request("/put", size=size))
        recv_until(server)
    else:
        client.sendall(request("/get"))
        recv_until(server)
        thread = send_all(server, response(size))
        recv_until(client)
    left = size
    # the header may have brought some of the body along
    sink.settimeout(20)
    got = 0
    while tcp_state(sink) == ESTABLISHED and (thread.is_alive() or unacked(source)):
        sink.settimeout(0.2)
        try:
            got += len(sink.recv(1 << 18))
        except TimeoutError:
            pass
    sink.settimeout(0.3)
    try:
        while sink.recv(1 << 18):
            pass
    except TimeoutError:
        pass
    if upload:
        server.sendall(response(20))
        recv_response(client)
    client.settimeout(20)
    server.settimeout(20)
    end_both(run, client, server)
    return name


@recipe("healthy/download-super-frames", snaplen=96)
def download_gso(run):
    """A download of 3 MB with the kernel's super-frames, as captures on hosts have them.
    Rule: product.md 5: TSO and GRO super-frames.
    Healthy, no diagnosis."""
    run.connection(transfer(run, 3_000_000), truth=[], accept=[""])


@recipe("healthy/download-plain-frames", snaplen=80, offload=False, wire=0.003)
def download_plain(run):
    """A download of 300 kB in single frames over 6 ms.
    Rule: linux-tcp.md 9.3.
    Healthy, no diagnosis."""
    run.connection(transfer(run, 300_000), truth=[], accept=NOTE)


@recipe("healthy/upload-super-frames", snaplen=96)
def upload_gso(run):
    """An upload of 2 MB with super-frames.
    Rule: product.md 5.
    Healthy, no diagnosis."""
    run.connection(transfer(run, 2_000_000, upload=True), truth=[], accept=[""])


@recipe("healthy/upload-v6", snaplen=96, offload=False)
def upload_v6(run):
    """An upload of 200 kB over IPv6 in single frames.
    Rule: linux-tcp.md 9.3.
    Healthy, no diagnosis."""
    run.connection(transfer(run, 200_000, upload=True, v6=True), truth=[], accept=[""])


@recipe("healthy/no-timestamps-no-scaling", wire=0.005)
def plain_options(run):
    """A client without timestamps, window scaling and SACK.
    Rule: linux-tcp.md 11.1.
    Healthy, no diagnosis."""
    run.client.tcp(timestamps=0, window_scaling=0, sack=0)
    for _ in range(2):
        run.connection(transfer(run, 30_000), truth=[], accept=NOTE)


@recipe("healthy/ecn", wire=0.005)
def ecn(run):
    """Both ends negotiate ECN.
    Rule: linux-tcp.md 2.1: ECN bits in the SYN.
    Healthy, no diagnosis."""
    run.client.tcp(ecn=1)
    run.server.tcp(ecn=1)
    run.connection(transfer(run, 20_000), truth=[], accept=NOTE)


@recipe("healthy/v6-mixed", wire=0.007)
def v6_mixed(run):
    """A few IPv6 exchanges, closed by either side.
    Rule: linux-tcp.md 9.4.
    Healthy, no diagnosis."""
    for n in range(4):
        client, server = run.pair(v6=True)
        name = client.getsockname()
        run.exchange(client, server, answer=response(300 * n + 1))
        (end_both if n % 2 else close_by_server)(run, client, server)
        run.connection(name, truth=[], accept=["", "server-idle-close"])


@recipe("healthy/fast-open", wire=0.010)
def fast_open(run):
    """TCP Fast Open: a cookie first, then a request inside the SYN.
    Rule: RFC 7413.
    Healthy, no diagnosis."""
    run.client.tcp(fastopen=1)
    run.server.tcp(fastopen=2)
    listener = run.server.listen(80, options=[(socket.IPPROTO_TCP, 23, 16)])
    for _ in range(3):
        sock = run.caller()
        sock.settimeout(None)      # a timeout makes the socket non-blocking, which Fast Open reports as in progress
        sock.sendto(request(), 0x20000000, (SERVER, 80))      # MSG_FASTOPEN
        peer, _ = listener.accept()
        recv_until(peer)
        peer.sendall(response())
        recv_response(sock)
        name = sock.getsockname()
        end_both(run, sock, peer)
        run.connection(name, truth=[], accept=[""])
    run.expect("client", TCPFastOpenActive=2)
    run.hold(listener)


@recipe("healthy/delayed-server", limit=30, wire=0.010)
def delayed_server(run):
    """A server that thinks for half a second to a second and a half before each answer.
    Rule: none is broken: an answer within two seconds is an answer.
    Healthy, no diagnosis."""
    client, server = run.pair()
    name = client.getsockname()
    for wait in (0.5, 1.0, 1.5):
        client.sendall(request())
        recv_until(server)
        time.sleep(wait)
        server.sendall(response())
        recv_response(client)
    end_both(run, client, server)
    run.connection(name, truth=[], accept=[""])


@recipe("healthy/long-poll", limit=60, offload=False)
def websocket(run):
    """A push channel: the server sends a few bytes every now and then, the client only acknowledges.
    Rule: linux-tcp.md 9.3.
    Healthy, no diagnosis."""
    client, server = run.pair(8080)
    client.sendall(request("/events"))
    recv_until(server)
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for n in range(5):
        time.sleep(2.5)
        server.sendall(b"data: %d\n\n" % n)
    time.sleep(1)
    run.connection(client, (SERVER, 8080), [], ["", "idle-open"], "open")
    run.hold(client, server)


@recipe("healthy/smtp-like", wire=0.015)
def smtp(run):
    """The server speaks first, a dialogue of short lines, QUIT, the server closes.
    Rule: linux-tcp.md 9.4.
    Healthy, no diagnosis."""
    client, server = run.pair(25)
    name = client.getsockname()
    server.sendall(b"220 mail.example.com ready\r\n")
    client.recv(100)
    for ask, answer in ((b"EHLO example.net", b"250 ok"), (b"MAIL FROM:<a@example.net>", b"250 ok"),
                        (b"RCPT TO:<b@example.com>", b"250 ok"), (b"DATA", b"354 go on"),
                        (filler(2000) + b"\r\n.", b"250 taken"), (b"QUIT", b"221 bye")):
        client.sendall(ask + b"\r\n")
        recv_exact(server, len(ask) + 2)
        server.sendall(answer + b"\r\n")
        recv_exact(client, len(answer) + 2)
    close_by_server(run, client, server)
    run.connection(name, (SERVER, 25), [], ["", "server-idle-close"])


@recipe("healthy/many-short", limit=40, wire=0.002)
def many_short(run):
    """Sixty short connections one after the other, some overlapping.
    Rule: linux-tcp.md 9.4.
    Healthy, all of them."""
    open_ones = []
    for n in range(60):
        client, server = run.pair()
        name = client.getsockname()
        run.exchange(client, server, answer=response(40 + 13 * n))
        open_ones.append((client, server, name))
        if len(open_ones) > 5:
            client, server, name = open_ones.pop(0)
            (end_both if n % 3 else close_by_server)(run, client, server)
            run.connection(name, truth=[], accept=["", "server-idle-close"])
    for client, server, name in open_ones:
        end_both(run, client, server)
        run.connection(name, truth=[], accept=[""])


@recipe("healthy/window-closed-for-a-moment", limit=30, snaplen=128)
def brief_zero_window(run):
    """A slow reader lets its window close for a second, then reads on; everything is delivered.
    Rule: linux-tcp.md 8.6, zero window, answered.
    Healthy; at most zero-window as a note below a stall."""
    client, server = run.pair(client_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 16000)])
    name = client.getsockname()
    client.sendall(request("/get"))
    recv_until(server)
    thread = send_all(server, response(120_000))
    time.sleep(1.0)
    recv_response(client)
    thread.join(10)
    end_both(run, client, server)
    run.connection(name, truth=[], accept=["", "packet-loss"])


@recipe("healthy/pipelined", offload=False, wire=0.006)
def pipelined(run):
    """Five requests at once, five responses in order.
    Rule: none is broken.
    Healthy, no diagnosis."""
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(b"".join(request("/%d" % n) for n in range(5)))
    got = b""
    while got.count(b"\r\n\r\n") < 5:
        got += server.recv(65536)
    for n in range(5):
        server.sendall(response(100 + n))
    total = sum(len(response(100 + n)) for n in range(5))
    recv_exact(client, total)
    end_both(run, client, server)
    run.connection(name, truth=[], accept=[""])


@recipe("healthy/expect-continue", wire=0.009)
def expect_continue(run):
    """Expect: 100-continue: head, interim answer, body, final answer.
    Rule: RFC 9110 10.1.1.
    Healthy, no diagnosis."""
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(b"POST /up HTTP/1.1\r\nHost: www.example.com\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
    recv_until(server)
    server.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    recv_until(client)
    client.sendall(filler(5000))
    recv_exact(server, 5000)
    server.sendall(response(10))
    recv_response(client)
    end_both(run, client, server)
    run.connection(name, truth=[], accept=[""])


@recipe("healthy/chunked", wire=0.003)
def chunked(run):
    """A chunked response without Content-Length, then keep-alive use, then close.
    Rule: RFC 9112 7.1.
    Healthy, no diagnosis."""
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(request("/stream"))
    recv_until(server)
    server.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4):
        server.sendall(b"64\r\n" + filler(100) + b"\r\n")
        time.sleep(0.1)
    server.sendall(b"0\r\n\r\n")
    recv_until(client, b"0\r\n\r\n")
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=[], accept=[""])


@recipe("healthy/http-1.0-read-to-close", offload=False)
def http10(run):
    """HTTP/1.0: no length is announced, the end of the stream ends the response.
    Rule: RFC 9112 6.3, rule 8.
    Healthy: this is no premature close."""
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    recv_until(server)
    server.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + filler(5000))
    server.close()
    drain(client)
    client.close()
    run.connection(name, truth=[], accept=[""])


@recipe("healthy/head-and-304", wire=0.004)
def head_and_304(run):
    """HEAD and 304 answers announce a length and carry no body.
    Rule: RFC 9112 6.3, rule 1.
    Healthy: nothing was cut off."""
    client, server = run.pair()
    name = client.getsockname()
    for ask, answer in ((b"HEAD / HTTP/1.1\r\nHost: www.example.com\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
                        (request("/cached"), b"HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\n\r\n")):
        client.sendall(ask)
        recv_until(server)
        server.sendall(answer)
        recv_until(client)
    close_by_server(run, client, server)
    run.connection(name, truth=[], accept=["", "server-idle-close"])


@recipe("healthy/windows-client", wire=0.003)
def windows_client(run):
    """A Windows-like client: TTL 128, its own option order, RST+ACK never, orderly close.
    Rule: linux-tcp.md 11.3.
    Healthy, no diagnosis."""
    listener = run.server.listen(80)
    talker = Talker(run, "client", 50130, SERVER, 80, ttl=128, window=64240)
    talker.connect(packet.windows_syn_options())
    talker.window = 1026
    peer, _ = listener.accept()
    talker.send("PA", request())
    recv_until(peer)
    peer.sendall(response(400))
    talker.recv(data)
    talker.send("A")
    talker.send("FA")
    wait_until(lambda: peer.recv(1) == b"", 5)
    peer.close()
    talker.recv(has("F"))
    talker.send("A")
    run.connection((CLIENT, 50130), truth=[], accept=[""])
    run.hold(listener)


@recipe("healthy/bsd-keepalive-probe", limit=20)
def bsd_keepalive(run):
    """A BSD-like peer probes an idle connection with one byte of old data, and is answered.
    Rule: linux-tcp.md 8.6, in the BSD form.
    Healthy; idle-open as a note."""
    listener = run.server.listen(7000)
    talker = Talker(run, "client", 50131, SERVER, 7000)
    talker.connect()
    peer, _ = listener.accept()
    talker.send("PA", b"hello world\n")
    peer.recv(100)
    for _ in range(3):
        time.sleep(1)
        talker.send("A", b"\n", seq=(talker.seq - 1) & packet.MASK, advance=False)
        talker.recv()
    run.connection((CLIENT, 50131), (SERVER, 7000), [], ["", "idle-open"], "open")
    run.hold(listener, peer)


@recipe("healthy/ring-of-clients", clients=2)
def two_clients(run):
    """Two clients behind one address use the server at the same time, and nothing is wrong.
    Rule: none is broken.
    Healthy; nat-address-sharing at most as a finding."""
    listener = run.server.listen(80)
    for n in range(6):
        client, server = run.pair(listener=listener, host=run.client2 if n % 2 else run.client)
        name = client.getsockname()
        run.exchange(client, server)
        end_both(run, client, server)
        run.connection(name, truth=[], accept=[""])
    run.hold(listener)


# Losses and delays that were repaired ------------------------------------------------------------

def lose(run, which):
    """Drops the n-th data segments of the server, and remembers that it did."""
    count, dropped = [0], []

    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.payload:
            count[0] += 1
            if count[0] in which:
                dropped.append(frame)
                frame.drop()
    run.wire.rule = rule
    return dropped


@recipe("packet-loss/fast-retransmit", limit=30, wire=0.010, snaplen=100)
def loss_fast(run):
    """One segment in the middle of a download is lost and repaired by fast retransmit.
    Rule: RFC 6675; duplicates ACKs with SACK.
    Healthy; packet-loss as a note."""
    dropped = lose(run, {12})
    name = transfer(run, 120_000)
    assert dropped
    run.connection(name, truth=["packet-loss"], accept=["", "packet-loss"])
    run.expect("server", RetransSegs=1)


@recipe("packet-loss/tail-loss-probe", limit=30, wire=0.010)
def loss_tail(run):
    """The only segment of a response is lost and repaired by a tail-loss probe.
    Rule: linux-tcp.md 8.3, TLP.
    Healthy; packet-loss as a note."""
    dropped = lose(run, {1})
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=["packet-loss"], accept=["", "packet-loss"])
    run.expect("server", TCPLossProbes=1)


@recipe("packet-loss/timeout", limit=30, wire=0.010, offload=False)
def loss_rto(run):
    """A request is lost three times in a row and gets through at last.
    Rule: linux-tcp.md 8.3: R R 2R.
    Healthy; packet-loss as a note."""
    seen = []

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.payload and len(seen) < 3:
            seen.append(1)
            frame.drop()
    run.wire.rule = rule
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=["packet-loss"], accept=["", "packet-loss", "path-delay-spike"])
    run.expect("client", RetransSegs=3)


@recipe("packet-loss/random-both-ways", limit=60, wire=0.008, snaplen=100)
def loss_random(run):
    """Four in a hundred frames are lost both ways during several transfers; all is repaired.
    Rule: linux-tcp.md 8.3.
    Healthy; packet-loss as a note."""
    dice = random.Random(20)
    run.wire.rule = lambda frame: frame.drop() if frame.tcp and dice.random() < 0.04 else None
    for n in range(3):
        run.connection(transfer(run, 60_000, upload=n == 1), truth=["packet-loss"], accept=NOTE + ["handshake-ack-lost"])


@recipe("packet-loss/lost-fin", limit=30, wire=0.010)
def loss_fin(run):
    """The client's FIN is lost once and repeated.
    Rule: linux-tcp.md 8.5.
    Healthy; packet-loss as a note."""
    seen = []

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.has("F") and not seen:
            seen.append(1)
            frame.drop()
    run.wire.rule = rule
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=["packet-loss"], accept=["", "packet-loss"])


@recipe("packet-loss/last-ack-lost", limit=30, wire=0.010)
def loss_last_ack(run):
    """The very last ACK is lost; the server repeats its FIN into TIME_WAIT.
    Rule: linux-tcp.md 6.5 c1.
    Healthy; packet-loss as a note."""
    fins, seen = [], []

    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.has("F"):
            fins.append(1)
        if frame.up and frame.tcp and fins and not seen and not frame.tcp.has("F"):
            seen.append(1)
            frame.drop()
    run.wire.rule = rule
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    end_both(run, client, server)
    time.sleep(0.8)
    run.connection(name, truth=["packet-loss"], accept=["", "packet-loss"])


@recipe("reordering/every-seventh-late", limit=30, wire=0.010, snaplen=100)
def reorder(run):
    """Every seventh data segment is overtaken by its followers; nothing is lost.
    Rule: SACK and D-SACK tell.
    Healthy; reordering as a note."""
    count = [0]

    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.payload:
            count[0] += 1
            if count[0] % 7 == 0:
                frame.delay(0.004)
    run.wire.rule = rule
    run.connection(transfer(run, 100_000), truth=["reordering"], accept=NOTE)


@recipe("reordering/upload", limit=30, wire=0.006, snaplen=100, offload=False)
def reorder_upload(run):
    """The same for an upload.
    Rule: SACK and D-SACK tell.
    Healthy; reordering as a note."""
    count = [0]

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.payload:
            count[0] += 1
            if count[0] % 9 == 0:
                frame.delay(0.003)
    run.wire.rule = rule
    run.connection(transfer(run, 80_000, upload=True), truth=["reordering"], accept=NOTE)


@recipe("healthy/duplicated-frames", limit=30, wire=0.005, snaplen=100)
def duplicated(run):
    """The network delivers every fifth frame twice.
    Rule: linux-tcp.md 9.3 row 2: a duplicate is answered by a duplicate ACK.
    Healthy, no diagnosis."""
    count = [0]

    def rule(frame):
        count[0] += 1
        if frame.tcp and count[0] % 5 == 0:
            frame.again(0.0003)
    run.wire.rule = rule
    for _ in range(2):
        run.connection(transfer(run, 40_000), truth=[], accept=NOTE)


@recipe("path-delay-spike/one-and-a-half-seconds", limit=30, wire=0.010)
def delay_spike(run):
    """The path holds everything back for 1.5 s in the middle of an exchange; the repeats were needless.
    Rule: linux-tcp.md 8.3; timestamps show that the first copy was answered.
    Healthy; path-delay-spike as a note."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    end = time.monotonic() + 1.5

    def rule(frame):
        left = end - time.monotonic()
        if left > 0 and frame.tcp:
            frame.delay(left)
    run.wire.rule = rule
    run.exchange(client, server)
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=["path-delay-spike"], accept=NOTE)
    run.expect("client", RetransSegs=1)


@recipe("path-delay-spike/slow-return", limit=30, wire=0.010, offload=False)
def delay_return(run):
    """Only the answers are held back, for 0.8 s; the client repeats its request and learns by D-SACK it was needless.
    Rule: RFC 2883, D-SACK.
    Healthy; path-delay-spike as a note."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    end = time.monotonic() + 0.8

    def rule(frame):
        left = end - time.monotonic()
        if left > 0 and frame.tcp and not frame.up:
            frame.delay(left)
    run.wire.rule = rule
    run.exchange(client, server)
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=["path-delay-spike"], accept=NOTE)


@recipe("spoofed-reset-ignored/in-window", wire=0.010)
def spoofed_in_window(run):
    """Somebody forges RSTs inside the window but not at its edge; both ends answer with challenge ACKs and go on.
    Rule: linux-tcp.md 7.4 and 7.5, RFC 5961.
    Healthy; spoofed-reset-ignored as a note."""
    last = {}

    def watch(frame):
        if frame.tcp:
            last[frame.up] = frame.tcp
    run.wire.rule = watch
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    for up in (True, False):
        seen = last[up]
        run.wire.inject(seen.replace(seq=(seen.end + 7000) & packet.MASK, flags="R", ack=0, window=0, payload=b"", options=b"", ttl=49,
                                     ip_id=999), up=up)
        time.sleep(0.6)
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=["spoofed-reset-ignored"], accept=["", "spoofed-reset-ignored"])
    run.expect("server", TCPChallengeACK=1)


@recipe("spoofed-reset-ignored/out-of-window", wire=0.010, offload=False)
def spoofed_outside(run):
    """Forged RSTs far outside the window are ignored without a word.
    Rule: linux-tcp.md 7.4 last column.
    Healthy; spoofed-reset-ignored as a note."""
    last = {}

    def watch(frame):
        if frame.tcp:
            last[frame.up] = frame.tcp
    run.wire.rule = watch
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    for n in range(3):
        seen = last[True]
        run.wire.inject(seen.replace(seq=(seen.end + 500_000_000 * (n + 1)) & packet.MASK, flags="R", ack=0, window=0, payload=b"",
                                     options=b"", ttl=200, ip_id=n), up=True)
    time.sleep(0.1)
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth=["spoofed-reset-ignored"], accept=["", "spoofed-reset-ignored"])


@recipe("pmtud-adjusted/v4", limit=30, snaplen=128)
def pmtud(run):
    """A line with an MTU of 1400 in the middle: ICMP fragmentation needed comes and is obeyed.
    Rule: linux-tcp.md 10.2, 3/4.
    Healthy; pmtud-adjusted as a note."""
    run.hop.run("ip", "link", "set", "east", "mtu", "1400")
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(request("/up", size=30000))
    recv_until(server)
    wait_until(lambda: unacked(client) == 0, 10)
    server.setblocking(False)
    try:
        while server.recv(65536):
            pass
    except BlockingIOError:
        pass
    server.settimeout(10)
    server.sendall(response(100))
    recv_response(client)
    end_both(run, client, server)
    run.connection(name, truth=["pmtud-adjusted"], accept=["", "pmtud-adjusted", "packet-loss"])


@recipe("pmtud-adjusted/v6", limit=30, snaplen=128, offload=False)
def pmtud_v6(run):
    """The same over IPv6: packet too big.
    Rule: RFC 8201.
    Healthy; pmtud-adjusted as a note."""
    run.hop.run("ip", "link", "set", "east", "mtu", "1400")
    client, server = run.pair(v6=True)
    name = client.getsockname()
    client.sendall(request("/up", size=20000))
    recv_until(server)
    wait_until(lambda: unacked(client) == 0, 10)
    server.setblocking(False)
    try:
        while server.recv(65536):
            pass
    except BlockingIOError:
        pass
    server.settimeout(10)
    server.sendall(response(100))
    recv_response(client)
    end_both(run, client, server)
    run.connection(name, truth=["pmtud-adjusted"], accept=["", "pmtud-adjusted", "packet-loss"])


@recipe("healthy/loopback-of-names", wire=0.001)
def loopback_like(run):
    """Odd but sound: the client binds its port, window 2 KB, one byte at a time, urgent data once.
    Rule: none is broken.
    Healthy, no diagnosis."""
    client, server = run.pair(7000, client_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
    name = client.getsockname()
    for n in range(20):
        client.send(bytes([65 + n]))
        time.sleep(0.01)
    client.send(b"!", socket.MSG_OOB)
    recv_exact(server, 20)
    server.sendall(filler(900))
    recv_exact(client, 900)
    end_both(run, client, server)
    run.connection(name, (SERVER, 7000), [], [""])


# What the capture itself spoils -------------------------------------------------------------------------

@recipe("capture-partial/began-late", late=True, limit=30, wire=0.004)
def began_late(run):
    """The capture begins in the middle of three connections and sees them go on and close.
    Rule: mid-stream pick-up; roles are inferred.
    Healthy; capture-partial as a note."""
    pairs = [run.pair() for _ in range(3)]
    for client, server in pairs:
        run.exchange(client, server)
    run.start_capture()
    for client, server in pairs:
        name = client.getsockname()
        run.exchange(client, server)
        run.exchange(client, server)
        end_both(run, client, server)
        run.connection(name, truth=["capture-partial"], accept=["", "capture-partial"], outcome="completed")


@recipe("capture-partial/only-the-close", late=True, limit=30, offload=False)
def only_close(run):
    """The capture begins just before the connections close.
    Rule: mid-stream pick-up.
    Healthy; capture-partial as a note."""
    pairs = [run.pair() for _ in range(2)]
    for client, server in pairs:
        run.exchange(client, server)
    run.start_capture()
    for client, server in pairs:
        name = client.getsockname()
        end_both(run, client, server)
        run.connection(name, truth=["capture-partial"], accept=["", "capture-partial"], outcome={"*": "partial"})


@recipe("capture-partial/ended-early", limit=30, wire=0.010)
def ended_early(run):
    """The capture ends right after a request was sent.
    Rule: not seen is not no.
    Healthy; capture-partial or nothing."""
    client, server = run.pair()
    run.exchange(client, server)
    client.sendall(request("/next"))
    recv_until(server)
    run.connection(client, truth=["capture-partial"], accept=["", "capture-partial", "idle-open"], outcome="open")
    run.hold(client, server)


def thin_out(run, point, drop):
    """Rewrites one capture after the fact without some of its frames, as a capture that lost them."""
    import os
    import struct
    path = os.path.join(run.directory, point + ".pcap")
    with open(path, "rb") as file:
        raw = file.read()
    out, at, n = [raw[:24]], 24, 0
    while at + 16 <= len(raw):
        size = struct.unpack_from("<I", raw, at + 8)[0]
        segment = packet.decode(raw[at + 30:at + 16 + size]) if raw[at + 28:at + 30] == b"\x08\x00" else None
        if not (segment and drop(n, segment)):
            out.append(raw[at:at + 16 + size])
        n += segment is not None
        at += 16 + size
    with open(path, "wb") as file:
        file.write(b"".join(out))


@recipe("capture-gap/data-never-recorded", limit=30, snaplen=100, offload=False, wire=0.002)
def capture_gap(run):
    """The capture itself lost frames in the middle of a download: data was acknowledged that it never recorded.
    Rule: the network delivered it, since the receiver acknowledged it; frames are taken out of the file afterwards.
    Healthy; capture-gap as a note."""
    name = transfer(run, 60_000)
    run.connection(name, truth=["capture-gap"], accept=["", "capture-gap", "packet-loss"])
    run.capture.stop()
    for point in ("client", "nat-inside", "nat-outside", "server"):
        thin_out(run, point, lambda n, s: 20 <= n < 32 and s.payload)


@recipe("capture-gap/one-direction", limit=30, offload=False)
def one_direction(run):
    """The capture holds only one direction of everything, as a mirror port set up wrongly does.
    Rule: unseen is not no.
    Healthy; capture-gap or capture-partial as a note, never a fault."""
    names = []
    for _ in range(2):
        client, server = run.pair()
        names.append(client.getsockname())
        run.exchange(client, server)
        end_both(run, client, server)
    for name in names:
        run.connection(name, truth=["capture-gap"], accept=["", "capture-gap", "capture-partial"], outcome={"*": "partial"})
    run.capture.stop()
    for point in ("client", "nat-inside", "nat-outside", "server"):
        thin_out(run, point, lambda n, s: s.sport == 80)
