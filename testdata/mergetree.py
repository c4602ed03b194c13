#!/usr/bin/python3
"""mergetree.py SEED FOLDER: a random stack of layers, and what a root unpacked from them shows.

Writes FOLDER/0.tar, 1.tar, ... and prints one line per path of the merged root, sorted bytewise
path by path as a walk goes.  The merge is the plain one: each layer's whiteouts remove what is
there, then its entries are unpacked one after the other, parents through symlinks.

    PATH TYPE MODE UID:GID MTIME SIZE LINK MAJOR:MINOR XATTRS GROUP CONTENT

"-" is nothing; bytes beyond printable ASCII, space, "-" alone and "\\" are \\xNN; GROUP is the first
path of the same inode where it has another one, CONTENT the SHA-256 of a file's bytes.
"""
import hashlib, io, os, random, sys, tarfile

seed, folder = int(sys.argv[1]), sys.argv[2]
R = random.Random(seed)
NAMES = ["a", "b", "c", "d", "a.b", "b-", "é", "e\u0301", "x\udcffy", "n" * 60, "usr"]
IDS = [0, 0, 1, 1000, 2097152, 4294967294]


class Inode:
    def __init__(self, kind, ti=None, data=b""):
        self.kind, self.children = kind, {}
        self.mode, self.uid, self.gid, self.mtime = 0o755, 0, 0, 0
        self.link, self.dev, self.xattrs, self.data = "", (0, 0), {}, data
        if ti:
            self.take(ti)

    def take(self, ti):
        self.mode, self.uid, self.gid, self.mtime = ti.mode, ti.uid, ti.gid, int(ti.mtime)
        self.link = ti.linkname if self.kind == "symlink" else ""
        self.dev = (ti.devmajor, ti.devminor) if self.kind in ("char", "block") else (0, 0)
        self.xattrs = {k[13:]: v for k, v in ti.pax_headers.items() if k.startswith("SCHILY.xattr.")}


def walk(root, parts, last=True, count=0):
    """The inode at parts, symlinks followed (the last only if asked), or None."""
    stack = [root]
    todo = list(parts)
    while todo:
        p = todo.pop(0)
        if p in ("", "."):
            continue
        if p == "..":
            stack = stack[:-1] or stack
            continue
        n = stack[-1].children.get(p) if stack[-1].kind == "dir" else None
        if n is None:
            return None
        if n.kind == "symlink" and (todo or last):
            count += 1
            if count > 40:
                return None
            if n.link.startswith("/"):
                stack = [root]
            todo = n.link.split("/") + todo
            continue
        stack.append(n)
    return stack[-1]


KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.CHRTYPE: "char",
         tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo"}


def unpack(root, layer):
    """layer: list of (TarInfo, bytes)."""
    def name(ti):
        return [p for p in ti.name.split("/") if p not in ("", ".")]
    mine = set()  # paths that this layer made, to know its own hard-link targets
    foreign = {}
    for i, (ti, _) in enumerate(layer):  # as the lower layers have them
        parts = name(ti)
        if ti.type == tarfile.LNKTYPE:
            foreign[i] = walk(root, ti.linkname.strip("/").split("/"), last=False)
    for ti, _ in layer:
        parts = name(ti)
        if not parts or not parts[-1].startswith(".wh."):
            continue
        parent = walk(root, parts[:-1])
        if parent is None or parent.kind != "dir":
            continue
        if parts[-1] == ".wh..wh..opq":
            parent.children.clear()
        elif not parts[-1].startswith(".wh..wh."):
            parent.children.pop(parts[-1][4:], None)
    for i, (ti, data) in enumerate(layer):
        parts = name(ti)
        if any(p.startswith(".wh.") for p in parts):
            if parts[-1].startswith(".wh..wh.") and parts[-1] != ".wh..wh..opq" or parts[0].startswith(".wh..wh.plnk"):
                continue
            if parts[-1] != ".wh..wh..opq":
                parts = parts[:-1]
                # a whiteout's folder exists, as any entry's
            else:
                parts = parts[:-1]
            at = root
            for k, p in enumerate(parts):
                at = step(root, at, parts[:k + 1], mine)
            continue
        if not parts:
            root.take(ti)
            continue
        at = root
        for k, p in enumerate(parts[:-1]):
            at = step(root, at, parts[:k + 1], mine)
        path = tuple(parts)
        old = at.children.get(parts[-1])
        if ti.type == tarfile.LNKTYPE:
            to = tuple(p for p in ti.linkname.split("/") if p)
            at.children[parts[-1]] = walk(root, to, last=False) if to in mine else foreign[i]
        elif ti.type == tarfile.DIRTYPE and old is not None and old.kind == "dir":
            old.take(ti)
        else:
            at.children[parts[-1]] = Inode(KINDS[ti.type], ti, data)
        if ti.type != tarfile.DIRTYPE:
            mine -= {p for p in mine if p[:len(path)] == path}
        mine.add(path)


def step(root, at, path, mine):
    n = at.children.get(path[-1])
    if n is not None and n.kind == "symlink":
        real = walk(root, path)
        if real is not None and real.kind == "dir":
            mine.add(tuple(path))
            return real
    if n is None or n.kind != "dir":
        n = at.children[path[-1]] = Inode("dir")
    mine.add(tuple(path))
    return n


def make_layer(root):
    """Random entries that are allowed after one another within one layer."""
    r, own, out = R, {}, []  # own: path -> kind in this layer
    pax, through_link = r.random() < 0.5, r.random() < 0.3

    def below_ok(parts):
        """Parents in this layer are folders; a lower symlink only where it is the stable one."""
        for k in range(1, len(parts)):
            kind = own.get(tuple(parts[:k]))
            if kind not in (None, "dir", "link"):
                return False
            if kind is None:
                lower = walk(root, parts[:k], last=False)
                if lower is not None and lower.kind == "symlink" and parts[0] != "lnk":
                    return False
        return True

    def record(parts, kind):
        t = tuple(parts)
        for k in range(1, len(t)):
            own.setdefault(t[:k], "dir")
        if kind != "dir":
            for p in [p for p in own if p[:len(t)] == t]:
                del own[p]
        own[t] = kind

    def add(name, kind, data=b"", **more):
        ti = tarfile.TarInfo(name)
        ti.type = {v: k for k, v in KINDS.items()}.get(kind, tarfile.REGTYPE)
        ti.mode = r.choice([0o644, 0o755, 0o4755, 0o1777, 0])
        ti.uid, ti.gid = r.choice(IDS[:4]), r.choice(IDS[:4])
        ti.mtime = r.choice([0, 1, 1700000000])
        if pax:
            ti.uid, ti.mtime = r.choice(IDS), r.choice([0, -7, 1700000000, 2 ** 33])
            if r.random() < 0.2:
                ti.pax_headers = {"SCHILY.xattr.user.k" + r.choice("12"): r.choice(["", "v", "\0w\n"]),
                                  "SCHILY.xattr.security.capability": "abc"}
        for k, v in more.items():
            setattr(ti, k, v)
        ti.size = len(data)
        if r.random() < 0.1:
            ti.name = "./" + name
        if r.random() < 0.05:
            ti.name = "/" + name
        out.append((ti, data))

    for _ in range(r.choice([1, 5, 20, 60])):
        depth = r.choice([1, 1, 2, 2, 3, 4])
        parts = [r.choice(NAMES[:-1]) for _ in range(depth)]
        if r.random() < 0.2:  # one of the two names per layer: whiteouts by the other have no order
            if through_link and walk(root, ["lnk"]) is not None:
                parts = ["lnk"] + parts[:2]
            else:
                parts = ["usr"] + parts
        if not below_ok(parts):
            continue
        t, name = tuple(parts), "/".join(parts)
        what = r.choice("fffddlshwwocbp.")
        lower = walk(root, parts, last=False)
        if parts[0] == "lnk" and (what not in "fwd" or any(own.get(("usr",) + t[1:k]) for k in range(2, 5))):
            continue
        if what == "d" and own.get(t) == "dir" and lower is not None and lower.kind == "symlink":
            continue
        if what == "f":
            add(name, "file", r.randbytes(r.choice([0, 1, 600, 3000])))
            record(parts, "file")
        elif what == "d":
            add(name + r.choice(["", "/"]), "dir")
            record(parts, "dir")
        elif what == "l":
            add(name, "symlink", linkname=r.choice(["a", "/b/c", "../d", "nowhere", "e\u0301"]))
            record(parts, "symlink")
        elif what == "s":
            add(name, r.choice(["char", "block"]), devmajor=r.choice([0, 5]), devminor=r.choice([0, 1, 255]))
            record(parts, "char")
        elif what == "p":
            add(name, "fifo")
            record(parts, "fifo")
        elif what == "h":
            mine = [p for p, k in own.items() if k not in ("dir", "white", "link") and p[0] != "lnk"]
            far = []
            todo = [((), root)]
            while todo:
                p, n = todo.pop()
                for c, m in n.children.items():
                    if m.kind == "dir":
                        todo.append((p + (c,), m))
                    elif not any(p[:k] + ((c,) if k > len(p) else ()) in own for k in range(1, len(p) + 2)):
                        far.append(p + (c,))
            pool = mine if r.random() < 0.7 else sorted(far)
            if not pool:
                continue
            to = r.choice(pool)
            if to[:len(t)] == t or t[:len(to)] == to:
                continue
            add(name, "file", type=tarfile.LNKTYPE, linkname="/".join(to))
            record(parts, "file")
        elif what == "w":
            add("/".join(parts[:-1] + [".wh." + parts[-1]]), "file")
            for k in range(1, len(t)):
                own.setdefault(t[:k], "dir")
            own.setdefault(t, "link")
        elif what == "o":
            add("/".join(parts[:-1] + [".wh..wh..opq"]), "file")
            for k in range(1, len(t)):
                own.setdefault(t[:k], "dir")
        elif what == "c":
            add("/".join(parts[:-1] + [".wh..wh.aufs"]), "file")
            add(".wh..wh.plnk/1.2", "file")
        elif r.random() < 0.2:
            add("./", "dir")
    return out, pax


def text(s):
    b = s.encode("utf-8", "surrogateescape") if isinstance(s, str) else s
    return "".join(chr(c) if 33 <= c < 127 and c != 92 else "\\x%02x" % c for c in b) or "-"


def show(root):
    lines, first, count = [], {}, {}

    def visit(n, path):
        if n.kind != "dir":
            first.setdefault(id(n), path)
            count[id(n)] = count.get(id(n), 0) + 1
        lines.append((path, n))
        for c in sorted(n.children, key=lambda c: c.encode("utf-8", "surrogateescape")):
            visit(n.children[c], path + "/" + c if path else c)
    visit(root, "")
    for path, n in lines:
        x = ",".join(text(k) + "=" + text(n.xattrs[k]) for k in sorted(n.xattrs))
        print(text(path), n.kind, "%o" % n.mode, "%d:%d" % (n.uid, n.gid), n.mtime, len(n.data), text(n.link),
              "%d:%d" % n.dev, x or "-", text(first[id(n)]) if count.get(id(n), 0) > 1 else "-",
              hashlib.sha256(n.data).hexdigest() if n.kind == "file" else "-")


root = Inode("dir")
base = [tarfile.TarInfo("usr"), tarfile.TarInfo("lnk")]
base[0].type, base[0].mode = tarfile.DIRTYPE, 0o755
base[1].type, base[1].linkname, base[1].mode = tarfile.SYMTYPE, "/usr", 0o777
layers = []
for i in range(R.choice([1, 2, 4, 8])):
    layer, pax = make_layer(root)
    if i == 0 and R.random() < 0.7:
        layer = [(t, b"") for t in base] + layer
    with tarfile.open(os.path.join(folder, "%d.tar" % i), "w", format=tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT,
                      encoding="utf-8", errors="surrogateescape") as t:
        for ti, data in layer:
            t.addfile(ti, io.BytesIO(data))
    unpack(root, layer)
show(root)
