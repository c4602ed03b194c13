#!/usr/bin/python3
"""double.py - a container registry that can misbehave, for tests

    double.py [OPTIONS]

Listens on 127.0.0.1 and prints one line "PORT STORAGE_PORT" on stdout when it is
ready; ends when its stdin does (unless --stay) or on SIGTERM.

What it serves and keeps
  --layout DIR --name REPO  an OCI layout as repository REPO; may be repeated in pairs.
                            Tags are the ref.name annotations of index.json (what follows
                            the last colon); a layout with one unnamed image has `latest`
  --store DIR               pushes go to DIR/REPO, an OCI layout each (default: a
                            temporary folder that is removed at the end); what is
                            there already is served
  --port N                  default: any
  --tls CERT KEY            TLS, on both ports
  --log FILE                one JSON line per request: port ("registry", "storage"),
                            peer (the client's port: one per connection), method, path (with query), headers (names lower-case),
                            length and sha256 of the body, status of the answer

How it behaves (each may also be set while it runs: PUT /_/options, a JSON object)
  --auth USER:PASSWORD      401 with a Basic challenge unless that is sent
  --bearer                  401 with a Bearer challenge, always
  --redirect                GET of a blob is a 307 to the storage port, which answers
                            400 with XML to any request with Authorization
  --location KIND           of uploads: relative (default), absolute, query (has one
                            already), storage (absolute, on the storage port)
  --no-mount                a mount is always answered 202
  --no-range                Range is ignored
  --no-digest               no Docker-Content-Digest header

Faults
  --fault JSON              may be repeated; PUT /_/faults replaces all (a JSON list).
                            The first that matches and is not used up acts:
    match   regular expression, searched in "PORT METHOD PATH", as "registry GET
            /v2/x/manifests/1"; default: everything but /_/
    skip    let that many matches pass first (0)
    times   act that often (default: always)
    status  answer with this status; `headers` (object) and `body` (text) go with it
    wait    seconds before the answer
    close   true: close the connection without an answer; "reset": with a RST
    cut     close after that many bytes of the (otherwise right) body
    truncate  leave out all after that many bytes, with a Content-Length to match
    corrupt   flip the bits of the last byte of the body
    header    an object of headers that replace those of the right answer
    slow    seconds between pieces of 16 KiB of the body
    Faults of uploads act after the body was read; `early` true: before.

Administration, on the registry port, without a login:
    GET /_/log  the log as a JSON list;  DELETE /_/log  forget it
    PUT /_/options, PUT /_/faults  as above
"""
import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REF_NAME = "org.opencontainers.image.ref.name"


def read(path):
    with open(path, "rb") as f:
        return f.read()


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """One repository on disk."""

    def __init__(self, path, writable):
        self.path, self.writable = path, writable

    def blob_path(self, digest):
        return os.path.join(self.path, "blobs", *digest.split(":", 1))

    def index(self):
        try:
            return json.loads(read(os.path.join(self.path, "index.json")))["manifests"]
        except FileNotFoundError:
            return []

    def tags(self):
        found, images = {}, self.index()
        for d in images:
            name = d.get("annotations", {}).get(REF_NAME)
            if name:
                found[re.sub(r".*[:/]", "", name)] = d
        if not found and len(images) == 1:
            found["latest"] = images[0]
        return found

    def add_blob(self, data):
        path = self.blob_path(digest_of(data))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = path + "." + uuid.uuid4().hex
        with open(part, "wb") as f:
            f.write(data)
        os.rename(part, path)

    def add_manifest(self, data, media_type, tag):
        self.add_blob(data)
        entry = {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
        if tag:
            entry["annotations"] = {REF_NAME: tag}
        rest = [d for d in self.index()
                if (d.get("annotations", {}).get(REF_NAME) != tag if tag
                    else d["digest"] != entry["digest"])]
        for name, value in (("oci-layout", {"imageLayoutVersion": "1.0.0"}),
                            ("index.json", {"schemaVersion": 2, "manifests": rest + [entry]})):
            part = os.path.join(self.path, "." + name)
            with open(part, "w") as f:
                json.dump(value, f)
            os.rename(part, os.path.join(self.path, name))


class Registry:
    def __init__(self, args):
        self.lock = threading.RLock()
        self.options = {k: getattr(args, k) for k in
                        ("auth", "bearer", "redirect", "location", "no_mount", "no_range",
                         "no_digest")}
        self.faults = [json.loads(f) for f in args.fault]
        self.used = {}
        self.log = []
        self.log_file = open(args.log, "a", buffering=1) if args.log else None
        self.layouts = {n: Layout(d, False) for d, n in zip(args.layout, args.name)}
        self.store = args.store
        self.uploads = {}
        self.types = {}
        self.base = self.storage = ""

    def repos(self, name):
        """The places of a repository: what was pushed, then the layout."""
        pushed = Layout(os.path.join(self.store, name), True)
        return [r for r in (pushed, self.layouts.get(name)) if r]

    def exists(self, name):
        return name in self.layouts or os.path.isdir(os.path.join(self.store, name))

    def blob(self, name, digest):
        for r in self.repos(name):
            if re.fullmatch("sha256:[0-9a-f]{64}", digest) and os.path.exists(r.blob_path(digest)):
                return read(r.blob_path(digest))
        return None

    def manifest(self, name, ref):
        for r in self.repos(name):
            if ref.startswith("sha256:"):
                data = self.blob(name, ref)
                if data is None:
                    return None, None
                try:
                    kind = json.loads(data).get("mediaType")
                except ValueError:
                    kind = None
                kind = self.types.get(ref) or kind or "application/vnd.oci.image.manifest.v1+json"
                return data, kind
            d = r.tags().get(ref)
            if d:
                return self.blob(name, d["digest"]), d["mediaType"]
        return None, None

    def note(self, entry):
        with self.lock:
            self.log.append(entry)
            if self.log_file:
                self.log_file.write(json.dumps(entry) + "\n")

    def fault(self, line):
        with self.lock:
            for i, f in enumerate(self.faults):
                if not re.search(f.get("match", "^(?!registry [A-Z]+ /_/)"), line):
                    continue
                n = self.used[i] = self.used.get(i, 0) + 1
                skip = f.get("skip", 0)
                if skip < n <= skip + f.get("times", 1 << 60):
                    return f
        return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry = None
    side = "registry"

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # one request

    def handle_any(self):
        reg = self.registry
        self.body = b""
        self.entry = {"port": self.side, "peer": self.client_address[1], "method": self.command, "path": self.path,
                      "headers": {k.lower(): v for k, v in self.headers.items()}}
        self.f = {}
        try:
            if self.path.startswith("/_/") and self.side == "registry":
                self.read_body()
                return self.admin()
            self.f = reg.fault("%s %s %s" % (self.side, self.command, self.path))
            if not self.f.get("early"):
                self.read_body()
            if self.f.get("wait"):
                time.sleep(self.f["wait"])
            if self.f.get("close"):
                return self.hang_up(self.f["close"])
            if "status" in self.f:
                self.close_connection |= bool(self.f.get("early"))
                return self.answer(self.f["status"], self.f.get("body", "").encode(),
                                   self.f.get("headers", {}))
            if self.side == "storage" and "authorization" in self.entry["headers"]:
                return self.answer(400, b"<Error><Code>InvalidRequest</Code></Error>",
                                   {"Content-Type": "application/xml"})
            if self.side == "storage" and self.path.startswith("/storage/"):
                return self.storage()
            if self.side == "registry" and not self.logged_in():
                return None
            self.route()
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                self.body += self.rfile.read(n)
                self.rfile.readline()
                if n == 0:
                    break
        else:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def hang_up(self, how):
        self.done(0)
        self.close_connection = True
        if how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        return None

    def done(self, status):
        self.entry["length"] = len(self.body)
        self.entry["sha256"] = hashlib.sha256(self.body).hexdigest()
        self.entry["status"] = status
        if not self.path.startswith("/_/"):
            self.registry.note(self.entry)

    def answer(self, status, body=b"", headers=None):
        f = self.f
        headers = dict(headers or {})
        headers.update(f.get("header", {}))
        if "truncate" in f:
            body = body[:f["truncate"]]
        if f.get("corrupt") and body:
            body = body[:-1] + bytes([body[-1] ^ 255])
        headers.setdefault("Content-Length", str(len(body)))
        self.done(status)
        self.send_response_only(status)
        for k, v in headers.items():
            for one in v if isinstance(v, list) else [v]:
                self.send_header(k, one)
        self.end_headers()
        if self.command == "HEAD":
            return
        if "cut" in f:
            body = body[:f["cut"]]
        if f.get("slow"):
            for i in range(0, len(body), 16384):
                self.wfile.write(body[i:i + 16384])
                time.sleep(f["slow"])
        else:
            self.wfile.write(body)
        if "cut" in f:
            self.wfile.flush()
            self.hang_up_quietly()

    def hang_up_quietly(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def error(self, status, code, message, detail=None, headers=None):
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]})
        self.answer(status, body.encode(), dict(headers or {}, **{"Content-Type": "application/json"}))

    # administration, login

    def admin(self):
        reg = self.registry
        with reg.lock:
            if self.command == "GET" and self.path == "/_/log":
                return self.answer(200, json.dumps(reg.log).encode(),
                                   {"Content-Type": "application/json"})
            if self.command == "DELETE" and self.path == "/_/log":
                reg.log = []
            elif self.command == "PUT" and self.path == "/_/faults":
                reg.faults, reg.used = json.loads(self.body), {}
            elif self.command == "PUT" and self.path == "/_/options":
                reg.options.update(json.loads(self.body))
            else:
                return self.answer(404)
        return self.answer(204)

    def logged_in(self):
        o = self.registry.options
        if o["bearer"]:
            challenge = ('Bearer realm="%s/token",service="double",scope="repository:x:pull,push"'
                         % self.registry.base)
        elif o["auth"]:
            want = "Basic " + base64.b64encode(o["auth"].encode()).decode()
            if self.headers.get("Authorization") == want:
                return True
            challenge = 'Basic realm="double, \\"quoted\\" Bearer"'
        else:
            return True
        self.error(401, "UNAUTHORIZED", "authentication required",
                   headers={"WWW-Authenticate": ["Negotiate abc/+==", challenge]})
        return False

    # the distribution API

    def route(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(url.query)
        if url.path == "/v2/":
            return self.answer(200, b"{}")
        for pattern, verb in ((r"/v2/(.+)/manifests/([^/]+)", self.manifests),
                              (r"/v2/(.+)/blobs/uploads/([^/]*)", self.uploads),
                              (r"/v2/(.+)/blobs/([^/]+)", self.blobs)):
            m = re.fullmatch(pattern, url.path)
            if m:
                return verb(m.group(1), m.group(2))
        return self.answer(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})

    def digest_header(self, digest):
        return {} if self.registry.options["no_digest"] else {"Docker-Content-Digest": digest}

    def manifests(self, name, ref):
        reg = self.registry
        if self.command == "PUT":
            return self.put_manifest(name, ref)
        if not reg.exists(name):
            return self.error(404, "NAME_UNKNOWN", "repository name not known to registry",
                              {"name": name})
        data, kind = reg.manifest(name, ref)
        if data is None:
            return self.error(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": ref})
        if kind not in self.headers.get("Accept", ""):
            return self.error(404, "MANIFEST_UNKNOWN", "the accept header does not support it")
        return self.answer(200, data, dict({"Content-Type": kind},
                                           **self.digest_header(digest_of(data))))

    def put_manifest(self, name, ref):
        reg, digest = self.registry, digest_of(self.body)
        if ref.startswith("sha256:") and ref != digest:
            return self.error(400, "DIGEST_INVALID", "provided digest did not match")
        try:
            m = json.loads(self.body)
            parts = [d["digest"] for d in [m.get("config")] + m.get("layers", []) if d]
            parts += [d["digest"] for d in m.get("manifests", [])]
        except (ValueError, KeyError, TypeError):
            return self.error(400, "MANIFEST_INVALID", "manifest invalid")
        kind = self.headers.get("Content-Type", "")
        if m.get("mediaType", kind) != kind:
            return self.error(400, "MANIFEST_INVALID", "media type does not match")
        for d in parts:
            if reg.blob(name, d) is None:
                return self.error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", d)
        with reg.lock:
            reg.types[digest] = kind
            reg.repos(name)[0].add_manifest(self.body, kind, None if ":" in ref else ref)
        return self.answer(201, b"", dict({"Location": "/v2/%s/manifests/%s" % (name, digest)},
                                          **self.digest_header(digest)))

    def blobs(self, name, digest):
        reg = self.registry
        data = reg.blob(name, digest)
        if data is None:
            return self.error(404, "BLOB_UNKNOWN", "blob unknown to registry", digest)
        if reg.options["redirect"] and self.command == "GET":
            return self.answer(307, b"", {"Location": "%s/storage/%s/%s?X-Sig=secret"
                                          % (reg.storage, name, digest)})
        return self.send_blob(data, digest)

    def send_blob(self, data, digest):
        headers = dict({"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"},
                       **self.digest_header(digest))
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not m or self.registry.options["no_range"]:
            return self.answer(200, data, headers)
        first, last = int(m.group(1)), int(m.group(2) or len(data) - 1)
        if first >= len(data):
            # as docker-registry 2.8.2: the length of all, over a small body
            headers["Content-Length"] = str(len(data))
            self.close_connection = True
            return self.answer(416, b"416 requested range not satisfiable", headers)
        headers["Content-Range"] = "bytes %d-%d/%d" % (first, min(last, len(data) - 1), len(data))
        return self.answer(206, data[first:last + 1], headers)

    def storage(self):
        m = re.fullmatch(r"/storage/(.+)/(sha256:[0-9a-f]+)", urllib.parse.urlsplit(self.path).path)
        data = self.registry.blob(m.group(1), m.group(2)) if m else None
        if data is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>",
                               {"Content-Type": "application/xml"})
        return self.send_blob(data, m.group(2))

    def uploads(self, name, session):
        reg = self.registry
        if self.command == "POST" and not session:
            mount, origin = self.query.get("mount"), self.query.get("from")
            if mount and origin and not reg.options["no_mount"]:
                data = reg.blob(origin[0], mount[0])
                if data is not None:
                    reg.repos(name)[0].add_blob(data)
                    return self.answer(201, b"", {"Location": "/v2/%s/blobs/%s" % (name, mount[0])})
            session = uuid.uuid4().hex
            reg.uploads[session] = b""
            return self.answer(202, b"", {"Location": self.location(name, session),
                                          "Range": "0-0", "Docker-Upload-UUID": session})
        if session not in reg.uploads:
            return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.command == "PATCH":
            reg.uploads[session] += self.body
            return self.answer(202, b"", {"Location": self.location(name, session),
                                          "Range": "0-%d" % (len(reg.uploads[session]) - 1)})
        if self.command != "PUT":
            return self.answer(405)
        data = reg.uploads.pop(session) + self.body
        want = self.query.get("digest", [""])[0]
        if want != digest_of(data):
            return self.error(400, "DIGEST_INVALID", "provided digest did not match", want)
        reg.repos(name)[0].add_blob(data)
        return self.answer(201, b"", dict({"Location": "/v2/%s/blobs/%s" % (name, want)},
                                          **self.digest_header(want)))

    def location(self, name, session):
        reg = self.registry
        path = "/v2/%s/blobs/uploads/%s" % (name, session)
        kind = reg.options["location"]
        if kind == "query":
            return path + "?_state=a%2Fb%3D%3D&x=%7E"
        return {"relative": "", "absolute": reg.base, "storage": reg.storage}[kind] + path


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if os.environ.get("DOUBLE_DEBUG"):
            super().handle_error(request, client_address)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--layout", action="append", default=[])
    p.add_argument("--name", action="append", default=[])
    p.add_argument("--store")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    p.add_argument("--log")
    p.add_argument("--stay", action="store_true")
    p.add_argument("--auth")
    p.add_argument("--location", default="relative",
                   choices=("relative", "absolute", "query", "storage"))
    for flag in ("bearer", "redirect", "no-mount", "no-range", "no-digest"):
        p.add_argument("--" + flag, action="store_true")
    p.add_argument("--fault", action="append", default=[])
    args = p.parse_args()
    if len(args.layout) != len(args.name):
        p.error("--layout and --name go in pairs")

    temporary = None
    if not args.store:
        args.store = temporary = tempfile.mkdtemp(prefix="double-")
    registry = Registry(args)
    servers = []
    for side, port in (("registry", args.port), ("storage", 0)):
        handler = type(side, (Handler,), {"registry": registry, "side": side})
        s = Server(("127.0.0.1", port), handler)
        if args.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*args.tls)
            # the handshake belongs to the connection's thread
            s.socket = context.wrap_socket(s.socket, server_side=True,
                                           do_handshake_on_connect=False)
        servers.append(s)
        threading.Thread(target=s.serve_forever, daemon=True).start()
    scheme = "https" if args.tls else "http"
    ports = [s.server_address[1] for s in servers]
    registry.base, registry.storage = ("%s://127.0.0.1:%d" % (scheme, n) for n in ports)
    print(*ports, flush=True)
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *a: sys.exit(0))
    try:
        if args.stay:
            while True:
                signal.pause()
        while sys.stdin.buffer.read(4096):
            pass
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
