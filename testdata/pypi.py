#!/usr/bin/python3
"""pypi.py [--cert FILE --key FILE] FOLDER: a package index (PEP 503) of a folder of wheels, on loopback.

Prints its port once it listens; pip finds it as https://127.0.0.1:PORT/simple/ (http without a
certificate).  --log FILE gets a line for each request.  It ends when its standard input
does, or with a signal.
"""
import argparse, hashlib, html, http.server, os, re, ssl, sys, threading


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


class Index(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, form, *args):
        if self.server.log:
            print(form % args, file=self.server.log, flush=True)

    def reply(self, status, data, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        # as pypi.org does; without it pip's cache keeps nothing
        self.send_header("Cache-Control", "max-age=365000000, immutable, public" if kind == "application/octet-stream" else "max-age=600, public")
        self.send_header("ETag", '"%s"' % hashlib.sha256(data).hexdigest())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def page(self, links):
        text = "".join('<a href="%s">%s</a><br>\n' % (html.escape(to), html.escape(name)) for to, name in links)
        self.reply(200, ("<!DOCTYPE html>\n<html><body>\n%s</body></html>\n" % text).encode(), "text/html; charset=utf-8")

    def do_GET(self):
        wheels = self.server.wheels
        where, _, name = self.path.strip("/").partition("/")
        if where == "simple" and not name:
            return self.page((normal(p) + "/", p) for p in sorted({w.split("-")[0] for w in wheels}))
        mine = sorted(w for w in wheels if normal(w.split("-")[0]) == normal(name))
        if where == "simple" and mine:
            return self.page((f"/files/{w}#sha256={hashlib.sha256(wheels[w]).hexdigest()}", w) for w in mine)
        if where == "files" and name in wheels:
            return self.reply(200, wheels[name], "application/octet-stream")
        return self.reply(404, b"not here\n", "text/plain")

    do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context = None

    def finish_request(self, request, client_address):
        if self.context:                # in the request's own thread: a slow hello holds up nobody
            request.settimeout(30)
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        if self.log:
            print("failed: %r" % (sys.exc_info()[1],), file=self.log, flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--cert", help="PEM")
    ap.add_argument("--key", help="PEM")
    ap.add_argument("--log")
    ap.add_argument("folder")
    a = ap.parse_args()
    server = Server(("127.0.0.1", 0), Index)
    server.log = open(a.log, "a") if a.log else None
    server.wheels = {}
    for name in os.listdir(a.folder):
        if name.endswith(".whl"):
            with open(os.path.join(a.folder, name), "rb") as f:
                server.wheels[name] = f.read()
    if a.cert:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(a.cert, a.key)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
