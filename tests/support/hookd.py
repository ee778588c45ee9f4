"""An HTTP server on loopback that answers with the status its path names: hookd.py [CERT KEY]; prints its port."""
import http.server, json, ssl, sys, threading, time, urllib.parse


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        head = self.headers
        body = self.rfile.read(int(head["Content-Length"])).decode()
        with open("posts", "a") as file:
            file.write(json.dumps(dict(path=self.path, body=body, authorization=head["Authorization"],
                                       type=head["Content-Type"], key=head["Idempotency-Key"])) + "\n")
        url = urllib.parse.urlparse(self.path)
        word = url.path.split("/")[1]
        if word == "slow":
            time.sleep(30)
        if word in ("slow", "hangup"):
            self.close_connection = True
            return
        self.send_response(int(word))
        for value in urllib.parse.parse_qs(url.query).get("after", []):
            self.send_header("Retry-After", value)
        if word == "301":
            self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
