"""Conversations of programs as they are installed everywhere: curl, wget, OpenSSL, node, java, git, Python.

The other recipes play applications; here real ones talk, with the pauses, the record sizes and above
all the ways to close that their authors chose. What a machine does not have leaves no case.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

from net import CLIENT, SERVER, SERVER6
from run import Failed, Seen, recipe, wait_until

ORDERLY = ["", "packet-loss", "reordering", "path-delay-spike", "half-close", "simultaneous-close", "server-idle-close", "no-data",
           "idle-open", "reset-after-close", "capture-partial"]
CLIENT_ENDS = ["client-aborted", "client-closed-early", "client-timeout", "close-with-unread-data", "process-killed", "linger-zero-abort"]
SERVER_ENDS = ["process-killed", "premature-close", "server-aborted", "close-with-unread-data"]

NODE_HTTP = """
const http = require("http");
const body = Buffer.alloc(1 << 20, "made up ");
const server = http.createServer((ask, answer) => {
  const url = new URL(ask.url, "http://x");
  const size = Number(url.searchParams.get("size") || 300), wait = Number(url.searchParams.get("wait") || 0);
  const slow = url.searchParams.get("drip");
  let got = 0;
  ask.on("data", part => { got += part.length; });
  ask.on("end", () => setTimeout(() => {
    if (slow) {
      answer.writeHead(200, {"Content-Length": size});
      const pour = left => { if (left <= 0) return answer.end(); answer.write(body.subarray(0, Math.min(left, 4000))); setTimeout(pour, Number(slow), left - 4000); };
      return pour(size);
    }
    if (url.pathname == "/events") { answer.writeHead(200, {"Content-Type": "text/event-stream"}); let n = 0;
      const t = setInterval(() => { answer.write("data: " + n + "\\n\\n"); if (++n == 6) { clearInterval(t); answer.end(); } }, 1100); return; }
    answer.writeHead(200, {"Content-Length": size}); answer.end(Buffer.alloc(size, "made up "));
  }, wait));
});
server.on("upgrade", (ask, socket) => {
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n");
  socket.on("data", part => socket.write(part));
  socket.on("end", () => socket.end());
  socket.on("error", () => 0);
});
server.keepAliveTimeout = KEEP;
server.listen(PORT, "::");
"""
NODE_POOL = """
const http = require("http");
const agent = new http.Agent({keepAlive: true, maxSockets: 4});
const once = path => new Promise(done => http.get({host: "HOST", port: PORT, path, agent}, r => { r.resume(); r.on("end", done); }).on("error", done));
const rest = ms => new Promise(done => setTimeout(done, ms));
(async () => {
  for (let round = 0; round < 4; ++round) {
    await Promise.all([...Array(7).keys()].map(n => once("/?size=" + (n * 3000 + 10) + "&wait=" + n * 20)));
    await rest([300, 900, 2500, 100][round]);
  }
  agent.destroy();
})();
"""
NODE_SOCKET = """
const net = require("net");
const s = net.connect(PORT, "HOST", () => s.write("GET /chat HTTP/1.1\\r\\nHost: example.com\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n"));
s.on("error", () => 0);
let n = 0;
const t = setInterval(() => { s.write(Buffer.from([0x89, 0x80, 1, 2, 3, 4])); if (++n == COUNT) { clearInterval(t); if (CLOSE) s.end(); } }, EVERY);
"""
JAVA_SERVER = """
import com.sun.net.httpserver.*; import java.net.*; import java.util.concurrent.*;
public class S { public static void main(String[] a) throws Exception {
  HttpServer s = HttpServer.create(new InetSocketAddress(PORT), 50);
  s.setExecutor(Executors.newFixedThreadPool(4));
  s.createContext("/", x -> { byte[] b = new byte[7000]; x.getRequestBody().readAllBytes(); x.sendResponseHeaders(200, b.length); x.getResponseBody().write(b); x.close(); });
  s.start(); } }
"""
JAVA_CLIENT = """
import java.net.*; import java.net.http.*;
public class C { public static void main(String[] a) throws Exception {
  HttpClient c = HttpClient.newHttpClient();
  for (int i = 0; i < 6; ++i) {
    c.send(HttpRequest.newBuilder(URI.create("http://HOST:PORT/" + i)).POST(HttpRequest.BodyPublishers.ofString("made up ".repeat(i * 300))).build(), HttpResponse.BodyHandlers.ofString());
    Thread.sleep(i * 250); } System.exit(0); } }
"""
PYTHON_SERVER = """
import http.server, socketserver
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "VERSION"
    def do_GET(self):
        body = b"made up " * 4000
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
class S(http.server.ThreadingHTTPServer):
    request_queue_size = 50
S(("0.0.0.0", PORT), H).serve_forever()
"""


class Stage:
    """Programs in the namespaces of a run, ended with it."""

    def __init__(self, run):
        self.run, self.running = run, []
        self.directory = tempfile.mkdtemp(prefix="tcpwhy-stage-")

    def path(self, name, text=None):
        full = os.path.join(self.directory, name)
        if text is not None:
            with open(full, "w") as file:
                file.write(text)
        return full

    def certify(self, host):
        """key.pem and cert.pem of a server that speaks TLS."""
        self.ask("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=example.com", "-days", "9",
                 "-keyout", self.path("key.pem"), "-out", self.path("cert.pem"), host=host)

    def start(self, host, *command, stdin=subprocess.DEVNULL):
        if shutil.which(command[0]) is None:
            raise Failed("no %s here" % command[0])
        process = host.popen(list(command), stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             cwd=self.directory, start_new_session=True)
        self.running.append(process)
        return process

    def serve(self, port, *command):
        process = self.start(self.run.server, *command)
        wait_until(lambda: self.run.server.run("ss", "-tlnH", "sport = :%d" % port).strip(), 30, "a listener")
        return process

    def node(self, port=80, keep=5000):
        return self.serve(port, "node", self.path("server.js", NODE_HTTP.replace("PORT", str(port)).replace("KEEP", str(keep))))

    def ask(self, *command, seconds=60, host=None):
        """A client, run to its end."""
        process = self.start(host or self.run.client, *command)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed("%s does not end" % command[0])

    def close(self):
        for process in self.running:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def claim(run, truth, accept, outcome="completed", healthy=None, ports=(80,), skip=(), **rest):
    """Every connection of the client's capture that was not claimed yet; the captures end here."""
    time.sleep(1)
    run.capture.stop()
    for (client, server), numbers in sorted(Seen(os.path.join(run.directory, "client.pcap")).syns.items()):
        if server[1] in ports and client[0].startswith(("192.0.2.", "2001:db8:1:")) and client not in skip:
            for n in range(len(numbers)):
                run.connection(client, server, truth, accept, outcome, healthy, occurrence=n, **rest)
    if not run.connections:
        raise Failed("the programs made no connection")


@contextlib.contextmanager
def stage(run):
    made = Stage(run)
    try:
        yield made
    finally:
        made.close()


def url(rest="", port=80, host=SERVER, scheme="http"):
    return "%s://%s:%d/%s" % (scheme, "[%s]" % host if ":" in host else host, port, rest)


# Nothing wrong -----------------------------------------------------------------------------------


@recipe("healthy/curl-and-node", limit=90, wire=0.011)
def curl_node(run):
    """curl asks a node server: one, three on one connection, a POST, an upload of 300 kB, a slow answer.
    Rule: none is broken.
    Healthy."""
    with stage(run) as programs:
        programs.node()
        programs.ask("curl", "-s", url("?size=100"))
        programs.ask("curl", "-s", url("?size=10"), url("?size=50000"), url("?wait=700"))
        programs.ask("curl", "-s", "-d", "name=made+up", url())
        programs.ask("curl", "-s", "-T", programs.path("up", "made up " * 40000), url("up"))
        programs.ask("curl", "-s", "-H", "Connection: close", url("?size=200000&wait=1300"))
        claim(run, [], ORDERLY)


@recipe("healthy/pool-of-node", limit=90, wire=0.006)
def node_pool(run):
    """A pool of four keep-alive connections, seven requests at a time; between rounds the server closes idle ones.
    Rule: linux-tcp.md 12.1.
    Healthy; server-idle-close as a note."""
    with stage(run) as programs:
        programs.node(keep=1500)
        programs.ask("node", programs.path("pool.js", NODE_POOL.replace("HOST", SERVER).replace("PORT", "80")))
        time.sleep(1)
        claim(run, [], ORDERLY)


@recipe("healthy/pool-of-node-v6", limit=90, offload=False)
def node_pool_v6(run):
    """The same over IPv6, and the pool's own end closes what is left.
    Rule: linux-tcp.md 12.1.
    Healthy; server-idle-close as a note."""
    with stage(run) as programs:
        programs.node(8080, keep=60000)
        programs.ask("node", programs.path("pool.js", NODE_POOL.replace("HOST", SERVER6).replace("PORT", "8080")))
        claim(run, [], ORDERLY, ports=(8080,))


@recipe("healthy/websocket-pings", limit=90, wire=0.015)
def websocket_pings(run):
    """Two upgraded connections with a ping every two seconds; one is closed, one stays open.
    Rule: none is broken.
    Healthy."""
    with stage(run) as programs:
        programs.node(8080)
        text = NODE_SOCKET.replace("HOST", SERVER).replace("PORT", "8080").replace("COUNT", "5").replace("EVERY", "2000")
        stays = programs.start(run.client, "node", programs.path("stay.js", text.replace("CLOSE", "false")))
        programs.ask("node", programs.path("go.js", text.replace("CLOSE", "true")))
        time.sleep(6)
        claim(run, [], ORDERLY, outcome="", ports=(8080,))


@recipe("healthy/event-stream", limit=90, wire=0.020, offload=False)
def event_stream(run):
    """An event stream of seven seconds read by curl to its end, beside an answer dripped out over three.
    Rule: none is broken.
    Healthy."""
    with stage(run) as programs:
        programs.node()
        first = programs.start(run.client, "curl", "-s", url("events"))
        programs.ask("curl", "-s", url("?size=40000&drip=300"))
        first.wait(30)
        claim(run, [], ORDERLY)


@recipe("healthy/slow-reader", limit=120, wire=0.004)
def slow_reader(run):
    """wget and curl read a download at a limit of their own: the window fills and opens again and again.
    Rule: linux-tcp.md 8.6: a zero window that opens.
    Healthy."""
    with stage(run) as programs:
        programs.node()
        first = programs.start(run.client, "wget", "-q", "-O", "/dev/null", "--limit-rate=700k", url("?size=6000000"))
        programs.ask("curl", "-s", "--limit-rate", "500k", url("?size=4000000"))
        first.wait(60)
        claim(run, [], ORDERLY)


@recipe("healthy/openssl-and-curl", limit=90, wire=0.013)
def openssl_curl(run):
    """TLS 1.3 and 1.2 against openssl s_server, which answers and closes; close notifies cross the close.
    Rule: linux-tcp.md 7.2: a RST after everything was delivered.
    Healthy."""
    with stage(run) as programs:
        programs.certify(run.server)
        programs.serve(443, "openssl", "s_server", "-accept", "443", "-key", "key.pem", "-cert", "cert.pem", "-www")
        for extra in ([], ["--tls-max", "1.2"], ["-H", "Connection: close"]):
            programs.ask("curl", "-s", "-k", *extra, url(port=443, scheme="https"))
            time.sleep(0.2)
        claim(run, [], ORDERLY, ports=(443,))


@recipe("healthy/http2-and-node", limit=90, wire=0.025)
def http2(run):
    """HTTP/2 over TLS: curl and node, one and several streams, GOAWAY and close.
    Rule: none is broken.
    Healthy."""
    with stage(run) as programs:
        programs.certify(run.server)
        programs.serve(8443, "node", programs.path("h2.js", """
const h = require("http2"), fs = require("fs");
const s = h.createSecureServer({key: fs.readFileSync("key.pem"), cert: fs.readFileSync("cert.pem"), allowHTTP1: true});
s.on("stream", t => { t.respond({":status": 200}); setTimeout(() => t.end(Buffer.alloc(30000, "x")), 400); });
s.listen(8443, "::");"""))
        for host in (SERVER, SERVER6):
            programs.ask("curl", "-s", "-k", "--http2", url("a", 8443, host, "https"), url("b", 8443, host, "https"))
        programs.ask("curl", "-s", "-k", "--http2", "--parallel", *(url("p%d" % n, 8443, SERVER, "https") for n in range(5)))
        claim(run, [], ORDERLY, ports=(8443,))


@recipe("healthy/java-and-java", limit=120, wire=0.008)
def java(run):
    """Java's own server and client: posts of growing size with growing pauses on one connection.
    Rule: none is broken.
    Healthy, even where the client's process ends with its connection open."""
    with stage(run) as programs:
        programs.path("S.java", JAVA_SERVER.replace("PORT", "8080"))
        programs.path("C.java", JAVA_CLIENT.replace("PORT", "8080").replace("HOST", SERVER))
        programs.serve(8080, "java", "S.java")
        programs.ask("java", "C.java", seconds=90)
        claim(run, [], ORDERLY, ports=(8080,))


@recipe("healthy/python-servers", limit=90, wire=0.003)
def python_servers(run):
    """Python's HTTP server, 1.0 and 1.1, read by wget, curl and Python.
    Rule: none is broken.
    Healthy."""
    with stage(run) as programs:
        for port, version in ((8000, "HTTP/1.0"), (8001, "HTTP/1.1")):
            programs.serve(port, "python3", programs.path("s%d.py" % port, PYTHON_SERVER.replace("PORT", str(port)).replace("VERSION", version)))
            programs.ask("wget", "-q", "-O", "/dev/null", url("a", port), url("b", port))
            programs.ask("curl", "-s", url("c", port), url("d", port))
            programs.ask("python3", "-c", "import urllib.request as u; u.urlopen('%s').read()" % url("e", port))
        claim(run, [], ORDERLY, ports=(8000, 8001))


@recipe("healthy/git-clone", limit=90, wire=0.017, offload=False)
def git_clone(run):
    """git clones a small repository from git daemon, twice.
    Rule: none is broken.
    Healthy."""
    with stage(run) as programs:
        programs.path("script", "set -e; git init -q r.git; cd r.git; for n in 1 2 3 4; do head -c 90000 /dev/urandom > f$n; git add .; "
                      "git -c user.name=x -c user.email=x@example.com commit -qm $n; done; touch .git/git-daemon-export-ok")
        if programs.ask("sh", "script", host=run.server):
            raise Failed("no repository")
        programs.serve(9418, "git", "daemon", "--export-all", "--base-path=" + programs.directory, "--reuseaddr")
        for n in range(2):
            if programs.ask("git", "clone", "-q", "git://%s/r.git" % SERVER, "copy%d" % n):
                raise Failed("no clone")
        claim(run, [], ORDERLY, ports=(9418,))


@recipe("healthy/alert-of-tls", limit=60, wire=0.010)
def tls_alert(run):
    """A TLS client asks for a version the server does not speak: alert, close.
    Rule: none of TCP's is broken.
    Healthy."""
    with stage(run) as programs:
        programs.certify(run.server)
        programs.serve(443, "openssl", "s_server", "-accept", "443", "-key", "key.pem", "-cert", "cert.pem", "-tls1_3", "-quiet")
        for _ in range(2):
            programs.ask("curl", "-s", "-k", "--tls-max", "1.2", url(port=443, scheme="https"))
        claim(run, [], ORDERLY + ["server-aborted"], ports=(443,))


@recipe("dual-port-race/curl-happy-eyeballs", limit=60, wire=0.010)
def curl_eyeballs(run):
    """curl prefers IPv6, gets no answer for 0.2 s, takes IPv4 and gives up the other.
    Rule: RFC 8305.
    Healthy; dual-port-race as a note."""
    def slow(frame):
        if frame.tcp and frame.data[12:14] == b"\x86\xdd":
            frame.delay(0.6)
    run.wire.rule = slow
    with stage(run) as programs:
        programs.node()
        for _ in range(3):
            programs.ask("curl", "-s", "--resolve", "example.com:80:[%s],%s" % (SERVER6, SERVER), "http://example.com/")
        time.sleep(2)
        claim(run, [], ORDERLY + ["dual-port-race", "connect-timeout"], outcome="")


# Something wrong -----------------------------------------------------------------------------------


@recipe("client-timeout/curl-two-seconds", limit=60, wire=0.012)
def curl_timeout(run):
    """curl waits two seconds and no longer; the server would have taken nine.
    Rule: product.md 4: the client's own timeout.
    client-timeout."""
    with stage(run) as programs:
        programs.node(8080)
        for _ in range(2):
            programs.ask("curl", "-s", "-m", "2", url("?wait=9000", 8080))
        time.sleep(1)
        claim(run, "client-timeout", ["client-timeout", "client-aborted", "slow-response", "client-closed-early"], outcome="", ports=(8080,))


@recipe("client-closed-early/curl-interrupted", limit=60, wire=0.012)
def curl_interrupted(run):
    """curl is killed in the middle of a download that would go on for seconds.
    Rule: linux-tcp.md 7.2: closed with data unread, or data to a closed socket.
    client-closed-early, or what else a client's end may be called."""
    with stage(run) as programs:
        programs.node()
        for rate in ("", "30k"):
            process = programs.start(run.client, "curl", "-s", *(["--limit-rate", rate] if rate else []), url("?size=3000000&drip=20"))
            time.sleep(1.5)
            process.kill()
            time.sleep(0.5)
        claim(run, "client-closed-early", CLIENT_ENDS + ["data-after-close"], outcome="")


@recipe("process-killed/node-mid-download", limit=60, wire=0.009)
def node_killed(run):
    """node is killed while three downloads run.
    Rule: linux-tcp.md 7.2.
    process-killed, premature-close or server-aborted."""
    with stage(run) as programs:
        server = programs.node()
        clients = [programs.start(run.client, "curl", "-s", url("?size=%d&drip=50" % (900000 + n))) for n in range(3)]
        time.sleep(1.2)
        server.kill()
        for each in clients:
            each.wait(20)
        claim(run, "process-killed", SERVER_ENDS, outcome="", healthy=False)


@recipe("port-closed/curl", limit=30, wire=0.009)
def curl_refused(run):
    """curl meets a port where nothing listens, IPv4 and IPv6.
    Rule: linux-tcp.md 7.2.
    port-closed."""
    with stage(run) as programs:
        for host in (SERVER, SERVER6):
            programs.ask("curl", "-s", url(port=8081, host=host))
        claim(run, "port-closed", ["port-closed"], outcome="refused", ports=(8081,))


@recipe("syn-unanswered/curl-connect-timeout", limit=30, wire=0.009)
def curl_unanswered(run):
    """A filter drops the SYNs; curl gives up after four seconds.
    Rule: linux-tcp.md 3.
    syn-unanswered, or what drops SYNs."""
    run.server.drop_in("tcp dport 8081")
    with stage(run) as programs:
        programs.ask("curl", "-s", "--connect-timeout", "4", url(port=8081))
        claim(run, "syn-dropped-by-host-filter", {"server": ["syn-dropped-by-host-filter", "syn-unanswered"],
                                                  "*": ["syn-unanswered", "syn-dropped-by-host-filter", "syn-dropped-on-path"]},
              outcome="unanswered", ports=(8081,))


@recipe("zero-window-stall/stopped-reader", limit=60, wire=0.005)
def stopped_reader(run):
    """curl is stopped by a signal in the middle of a download and stays so for eight seconds.
    Rule: linux-tcp.md 8.6: the window shuts, probes are answered.
    zero-window-stall."""
    with stage(run) as programs:
        programs.node()
        process = programs.start(run.client, "curl", "-s", url("?size=60000000"))
        wait_until(lambda: int((run.client.run("ss", "-tniH", "dport = :80").split("bytes_received:") + ["0"])[1].split()[0]) > 50000,
                   10, "the download")
        process.send_signal(signal.SIGSTOP)
        time.sleep(8)
        claim(run, "zero-window-stall", ["zero-window-stall", "stalled"], outcome="stalled")


@recipe("close-with-unread-data/upload-refused", limit=60, wire=0.010)
def upload_refused(run):
    """A server answers 413 at once and closes while the body is still coming.
    Rule: linux-tcp.md 7.2: close() with unread data sends a RST.
    close-with-unread-data or server-aborted."""
    with stage(run) as programs:
        programs.serve(8080, "python3", programs.path("s.py", """
import socket
l = socket.socket(socket.AF_INET); l.setsockopt(1, 2, 1); l.bind(("", 8080)); l.listen(9)
while True:
    s, _ = l.accept(); s.recv(2000)
    s.sendall(b"HTTP/1.1 413 Content Too Large\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"); s.close()
"""))
        for _ in range(2):
            programs.ask("curl", "-s", "-H", "Expect:", "-T", programs.path("up", "made up " * 200000), url("up", 8080))
        time.sleep(0.5)
        claim(run, "close-with-unread-data", ["close-with-unread-data", "server-aborted", "data-after-close"], outcome="reset", ports=(8080,))


@recipe("keepalive-race/node-pool", limit=60, wire=0.060)
def node_race(run):
    """A client asks again just when node's keep-alive time of two seconds is over.
    Rule: linux-tcp.md 12.1.
    keepalive-race where the request met the closed socket, else server-idle-close."""
    with stage(run) as programs:
        programs.node(keep=2000)
        done = programs.ask("python3", "-c", """
import socket, time
s = socket.create_connection(("%s", 80))
ask = b"GET / HTTP/1.1\\r\\nHost: example.com\\r\\n\\r\\n"
s.sendall(ask); s.recv(9999)
end = time.monotonic() + 9
s.settimeout(9)
s.recv(1)          # the server's FIN; a client that looks away at this moment sends all the same
s.sendall(ask)
try: s.recv(1)
except OSError: pass
""" % SERVER)
        claim(run, "data-after-close", ["keepalive-race", "data-after-close"], outcome="", healthy=False)
