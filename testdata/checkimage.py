#!/usr/bin/python3
"""checkimage.py VERB LAYOUT[:TAG] ...: reads an image of an OCI layout without anything of hod.

  check IMAGE [--base N]   every rule of image-spec and of hod's form that can be seen in the bytes:
                           media types, sizes, digests, diff ids, history, JSON's form; each layer after the
                           first N (the base's) is written again by slowlayer.py from what a tar reader
                           sees in it, and must come out the same.  Prints the mistakes; status 1 for any.
  layer IMAGE I            the entries of layer I (-1: the last) in their order, one a line:
                           `file 0644 0:0 etc/motd "text"`, `dir 0755 0:0 etc/`, `link 0777 0:0 bin -> usr/bin`,
                           `hard 0644 0:0 b => a`, `char 0600 0:0 dev/null 1,3`, `fifo ...`; xattrs in braces
  tree IMAGE [PATH...]     the same for all layers put together, sorted; only what is at or below a PATH
  mtimes IMAGE I           the distinct mtimes in layer I
  config | manifest IMAGE  the JSON
  digest IMAGE             the manifest's digest
  blob IMAGE I             the file of layer I
"""
import argparse
import base64
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile

OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker."
TYPES = {
    OCI + "manifest.v1+json": (OCI + "config.v1+json", {OCI + "layer.v1.tar+gzip", OCI + "layer.v1.tar", OCI + "layer.v1.tar+zstd"}),
    DOCKER + "distribution.manifest.v2+json": (DOCKER + "container.image.v1+json", {DOCKER + "image.rootfs.diff.tar.gzip"}),
}
INDEXES = {OCI + "index.v1+json", DOCKER + "distribution.manifest.list.v2+json"}
CONFIG = ["created", "author", "architecture", "os", "os.version", "os.features", "variant", "config", "rootfs", "history"]
RUN = ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Healthcheck",
       "Shell", "OnBuild", "ArgsEscaped"]
HEALTH = ["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"]
HISTORY = ["created", "created_by", "author", "comment", "empty_layer"]
MANIFEST = ["schemaVersion", "mediaType", "config", "layers", "annotations"]
DESCRIPTOR = ["mediaType", "digest", "size"]
WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")


class Image:
    def __init__(self, name):
        self.layout, _, self.tag = name.partition(":")
        with open(self.layout + "/index.json", "rb") as f:
            entries = json.load(f)["manifests"]
        if self.tag:
            entries = [e for e in entries if e.get("annotations", {}).get("org.opencontainers.image.ref.name") == self.tag]
        if len(entries) != 1:
            sys.exit(f"checkimage: {len(entries)} images for {name}")
        self.descriptor = entries[0]
        while self.descriptor["mediaType"] in INDEXES:
            self.descriptor = next(m for m in json.loads(self.read(self.descriptor))["manifests"]
                                   if m["platform"]["architecture"] == "amd64")
        self.raw = self.read(self.descriptor)
        self.manifest = json.loads(self.raw)
        self.raw_config = self.read(self.manifest["config"])
        self.config = json.loads(self.raw_config)
        self.layers = self.manifest["layers"]

    def path(self, descriptor):
        return f"{self.layout}/blobs/sha256/{descriptor['digest'].partition(':')[2]}"

    def read(self, descriptor):
        with open(self.path(descriptor), "rb") as f:
            return f.read()

    def tar(self, i):
        data = self.read(self.layers[i])
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data

    def entries(self, i):
        raw = io.BytesIO(self.tar(i))
        with tarfile.open(fileobj=raw, encoding="utf-8", errors="surrogateescape") as tar:
            for t in tar:
                yield t, tar.extractfile(t).read() if t.isreg() else b""


def xattrs(t):
    prefix = "SCHILY.xattr."
    return {k[len(prefix):]: v.encode("utf-8", "surrogateescape") for k, v in sorted(t.pax_headers.items()) if k.startswith(prefix)}


def show(t, data):
    kind = {tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard", tarfile.CHRTYPE: "char",
            tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo"}.get(t.type, "file")
    name = t.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    line = f"{kind} {t.mode:04o} {t.uid}:{t.gid} {name}" + ("/" if t.isdir() else "")
    if kind in ("link", "hard"):
        line += (" -> " if kind == "link" else " => ") + t.linkname
    if kind in ("char", "block"):
        line += f" {t.devmajor},{t.devminor}"
    if kind == "file" and not os.path.basename(t.name).startswith(".wh."):
        short = len(data) <= 60 and all(32 <= b < 127 or b == 10 for b in data)
        line += " " + (json.dumps(data.decode()) if short else f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:12]}")
    extra = xattrs(t)
    return line + (" {" + " ".join(f"{k}={v!r}"[:60] for k, v in extra.items()) + "}" if extra else "")


def merged(image):
    """path -> (entry, data), whiteouts applied; a hard link is shown as what it names."""
    tree = {}

    def drop(path, keep_self=False):
        for p in [p for p in tree if p.startswith(path + "/") or (p == path and not keep_self)]:
            del tree[p]

    for i in range(len(image.layers)):
        entries = [(os.path.normpath(t.name.lstrip("/")), t, data) for t, data in image.entries(i)]
        for path, t, data in entries:
            folder, name = os.path.split(path)
            if name == ".wh..wh..opq":
                drop(folder, True)
            elif name.startswith(".wh."):
                drop(os.path.join(folder, name[4:]))
        for path, t, data in entries:
            if os.path.basename(path).startswith(".wh.") or path == ".":
                continue
            if t.islnk():
                first, data = tree[os.path.normpath(t.linkname.lstrip("/"))]
                t.type, t.linkname = first.type, first.linkname
            if not t.isdir() and path in tree:
                drop(path)
            elif t.isdir() and path in tree and not tree[path][0].isdir():
                drop(path)
            t.name = path
            tree[path] = (t, data)
    return tree


def describe(image, i, time):
    """The layer as slowlayer.py wants it, from what a tar reader sees; None where it has to fail."""
    out, inodes, numbers = [{"type": "layer", "time": time, "level": 1}], {}, {}
    entries = list(image.entries(i))
    for t, _ in entries:
        if t.islnk():
            numbers.setdefault(t.linkname, len(numbers) + 1)
    for t, data in entries:
        folder, name = os.path.split(t.name)
        e = {"mode": t.mode, "uid": t.uid, "gid": t.gid}
        path = t.name
        if name.startswith(".wh."):
            e, path = {"type": "whiteout"}, os.path.join(folder, name[4:])
        elif t.isdir():
            e["type"] = "dir"
        elif t.issym():
            e["type"] = "symlink"
            link = t.linkname.encode("utf-8", "surrogateescape")
            e["link_b64"] = base64.b64encode(link).decode()
        elif t.ischr() or t.isblk():
            e.update(type="char" if t.ischr() else "block", major=t.devmajor, minor=t.devminor)
        elif t.isfifo():
            e["type"] = "fifo"
        elif t.islnk():
            e = {**inodes[t.linkname], **e}
        else:
            e.update(type="file", size=len(data), data=base64.b64encode(data).decode())
        e["path_b64"] = base64.b64encode(path.encode("utf-8", "surrogateescape")).decode()
        if xattrs(t):
            e["xattrs"] = {k: base64.b64encode(v).decode() for k, v in xattrs(t).items()}
        if t.name in numbers:
            e["hard"] = numbers[t.name]
            inodes[t.name] = e
        out.append(e)
    return out


class Check:
    def __init__(self, image, base, level):
        self.image, self.base, self.level, self.bad = image, base, level, []

    def that(self, good, text):
        if not good:
            self.bad.append(text)

    def keys(self, obj, order, what):
        have = list(obj)
        self.that(have == [k for k in order if k in obj], f"{what}: fields {have}, not in the order {order}")

    def text(self, raw, value, what):
        again = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        self.that(raw == again, f"{what}: is not the JSON that another writer makes of it")
        self.that(b"null" not in raw, f"{what}: has a null")

    def descriptor(self, d, what):
        self.keys(d, DESCRIPTOR, what)
        data = self.image.read(d)
        self.that(d["size"] == len(data), f"{what}: size {d['size']}, blob has {len(data)}")
        self.that(d["digest"] == "sha256:" + hashlib.sha256(data).hexdigest(), f"{what}: {d['digest']} is not the blob's digest")

    def run_config(self, c):
        self.keys(c, RUN, "config.config")
        for key in ("ExposedPorts", "Volumes", "Labels"):
            m = c.get(key)
            self.that(m is None or m and list(m) == sorted(m, key=str.encode), f"config.{key}: empty or not sorted")
        for key in ("ExposedPorts", "Volumes"):
            self.that(all(v == {} for v in c.get(key, {}).values()), f"config.{key}: a value that is not {{}}")
        for key in ("Env", "Entrypoint", "Shell", "OnBuild"):
            self.that(c.get(key) is None or c[key] and all(isinstance(v, str) for v in c[key]), f"config.{key}: empty or no texts")
        self.that(all("=" in e for e in c.get("Env", [])), "config.Env: an entry without =")
        names = [e.split("=")[0] for e in c.get("Env", [])]
        self.that(len(names) == len(set(names)), "config.Env: a name twice")
        self.that("PATH" in names, "config.Env: no PATH")
        self.that(c.get("ArgsEscaped") in (None, True), "config.ArgsEscaped: only true is written")
        self.that("WorkingDir" not in c or c["WorkingDir"].startswith("/"), "config.WorkingDir: not absolute")
        if "Healthcheck" in c:
            self.keys(c["Healthcheck"], HEALTH, "config.Healthcheck")
            self.that(c["Healthcheck"]["Test"][0] in ("NONE", "CMD", "CMD-SHELL"), "config.Healthcheck.Test")

    def whole(self):
        im = self.image
        m, c = im.manifest, im.config
        self.text(im.raw, m, "manifest")
        self.text(im.raw_config, c, "config")
        self.keys(m, MANIFEST, "manifest")
        self.keys(c, CONFIG, "config")
        self.that(m["schemaVersion"] == 2, "manifest: schemaVersion")
        self.that(m["mediaType"] == im.descriptor["mediaType"] and m["mediaType"] in TYPES, "manifest: mediaType")
        config_type, layer_types = TYPES[m["mediaType"]]
        self.that(m["config"]["mediaType"] == config_type, "manifest: config's type is of another family")
        a = m.get("annotations")
        self.that(a is None or a and list(a) == sorted(a, key=str.encode), "manifest: annotations empty or not sorted")
        self.that(len(im.raw) == im.descriptor["size"], "index: size of the manifest")
        self.descriptor(m["config"], "config")
        for i, d in enumerate(m["layers"]):
            self.that(d["mediaType"] in layer_types, f"layer {i}: type {d['mediaType']}")
            self.descriptor(d, f"layer {i}")
        self.that(bool(WHEN.match(c.get("created", ""))), "config: created")
        self.that(c.get("os") and c.get("architecture"), "config: os, architecture")
        self.run_config(c.get("config", {}))
        rootfs = c["rootfs"]
        self.keys(rootfs, ["type", "diff_ids"], "rootfs")
        self.that(rootfs["type"] == "layers", "rootfs.type")
        self.that(len(rootfs["diff_ids"]) == len(m["layers"]), "as many diff ids as layers")
        for i, d in enumerate(rootfs["diff_ids"]):
            self.that(d == "sha256:" + hashlib.sha256(im.tar(i)).hexdigest(), f"layer {i}: its tar is not {d}")
        history = c.get("history", [])
        for h in history:
            self.keys(h, HISTORY, "history")
            self.that(bool(WHEN.match(h.get("created", ""))), "history: created")
            self.that(h.get("empty_layer") in (None, True), "history: empty_layer: only true is written")
        full = sum(not h.get("empty_layer") for h in history)
        self.that(full == len(m["layers"]), f"history: {full} entries with a layer, {len(m['layers'])} layers")
        for i in range(self.base, len(m["layers"])):
            self.layer(i)
        return self.bad

    def layer(self, i):
        """hod's own layers: one time, numeric owners, and the bytes of the second writer."""
        times = {int(t.mtime) for t, _ in self.image.entries(i)}
        self.that(len(times) == 1, f"layer {i}: several mtimes")
        for t, _ in self.image.entries(i):
            self.that(not t.uname and not t.gname, f"layer {i}: {t.name} has an owner's name")
        here = os.path.dirname(os.path.abspath(__file__))
        with tempfile.TemporaryDirectory() as tmp:
            with open(tmp + "/d.json", "w") as f:
                f.writelines(json.dumps(e) + "\n" for e in describe(self.image, i, times.pop()))
            r = subprocess.run([here + "/slowlayer.py", "--level", str(self.level), "--tar", tmp + "/d.tar", "--gzip", tmp + "/d.gz", tmp + "/d.json"],
                               capture_output=True, text=True)
            if r.returncode:
                self.bad.append(f"layer {i}: slowlayer.py refuses it: {r.stderr}")
                return
            with open(tmp + "/d.tar", "rb") as tar, open(tmp + "/d.gz", "rb") as packed:
                self.that(tar.read() == self.image.tar(i), f"layer {i}: the second writer makes another tar of it")
                self.that(packed.read() == self.image.read(self.image.layers[i]), f"layer {i}: the second writer makes another gzip of it")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("verb", choices=["check", "layer", "tree", "mtimes", "config", "manifest", "digest", "blob"])
    ap.add_argument("image")
    ap.add_argument("rest", nargs="*")
    ap.add_argument("--base", type=int, default=0, help="number of layers that are not hod's")
    ap.add_argument("--level", type=int, default=1)
    a = ap.parse_args(sys.argv[1:] if "-1" not in sys.argv else [x if x != "-1" else "last" for x in sys.argv[1:]])
    image = Image(a.image)
    number = lambda: len(image.layers) - 1 if a.rest[0] == "last" else int(a.rest[0])
    if a.verb == "check":
        bad = Check(image, a.base, a.level).whole()
        print("".join(b + "\n" for b in bad), end="")
        sys.exit(bool(bad))
    elif a.verb == "layer":
        print("".join(show(t, data) + "\n" for t, data in image.entries(number())), end="")
    elif a.verb == "tree":
        for path, (t, data) in sorted(merged(image).items()):
            if not a.rest or any(path == r or path.startswith(r + "/") for r in a.rest):
                print(show(t, data))
    elif a.verb == "mtimes":
        print(*sorted({int(t.mtime) for t, _ in image.entries(number())}))
    elif a.verb == "blob":
        print(image.path(image.layers[number()]))
    elif a.verb == "digest":
        print("sha256:" + hashlib.sha256(image.raw).hexdigest())
    else:
        print(json.dumps(getattr(image, a.verb)))


if __name__ == "__main__":
    main()
