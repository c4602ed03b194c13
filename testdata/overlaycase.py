#!/usr/bin/python3
"""overlaycase.py: random commands on an overlay, and what the layer of their changes must be.

    base SEED TAR FOLDER [--one]        a random base: its tar, and the same unpacked
    work SEED ROOT T [--one]            random changes of a root, as a command would make them
    pack FOLDER TAR                     a folder as a base's tar; with --one all is 7:9
    list ROOT OUT                       a root as JSON
    links UPPER OUT                     the hard links of an upper folder as JSON
    tree TAR OUT                        a base's tar as JSON
    layer BEFORE AFTER LINKS TAR T OUT [--one] [--keep] [--bytecode]
                                        compares TAR with the layer that follows from the trees
                                        before and after; the tree that it gives is OUT
    upper UPPER TAR [--one] [--keep]    compares a settled upper folder with its layer
    same A B [--one]                    compares two listings

For builder/rootfs/diff_test.c.  The rules are hod-layers(5).  --one: a user namespace with one id.
"""
import base64, io, json, os, random, shutil, socket, stat, struct, sys, tarfile

ONE, KEEP, BYTECODE = "--one" in sys.argv, "--keep" in sys.argv, "--bytecode" in sys.argv
ARGS = [a for a in sys.argv[1:] if not a.startswith("--")]
CAP = "security.capability"
CAPS = [b"\1\0\0\2" + bytes([n, 0, 0, 0]) + bytes(12) for n in (4, 32)]
DROPPED = ("user.overlay.", "user.hod.", "user.containers.", "user.rootlesscontainers")
TIMES = [0, 1, 946684800, 1700000000, 1700000001]
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
         stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}
NAMES = [b"a", b"b", b"c", b"d", b"d.x", b"d-", b"e\xff", "\u00e9".encode(), b"lib"]


def kept(name):
    return name == CAP or name.startswith("user.") and not name.startswith(DROPPED)


def text(b):
    return b.decode("utf-8", "surrogateescape")


def raw(s):
    return s.encode("utf-8", "surrogateescape")


def show(o):
    return json.dumps(o, sort_keys=True)


def look(path):
    """One path of a folder."""
    st = os.lstat(path)
    n = {"type": KINDS[stat.S_IFMT(st.st_mode)], "mode": st.st_mode & 0o7777, "uid": st.st_uid, "gid": st.st_gid,
         "mtime": st.st_mtime_ns // 10 ** 9, "link": "", "dev": [0, 0], "data": "", "xattrs": {}}
    if n["type"] == "symlink":
        n["link"], n["mode"] = text(os.readlink(path)), 0o777
    if n["type"] in ("char", "block"):
        n["dev"] = [os.major(st.st_rdev), os.minor(st.st_rdev)]
    if n["type"] == "file":
        with open(path, "rb") as f:
            n["data"] = base64.b64encode(f.read()).decode()
    if n["type"] in ("file", "dir"):
        for x in os.listxattr(path):
            if kept(x) and not (x == CAP and n["type"] == "dir"):
                n["xattrs"][x] = base64.b64encode(os.getxattr(path, x)).decode()
    return n


def walk(root):
    out = {"": look(root)}
    todo = [b""]
    while todo:
        d = todo.pop()
        for name in os.listdir(os.path.join(root, d)):
            p = os.path.join(d, name)
            n = out[text(p)] = look(os.path.join(root, p))
            if n["type"] == "dir":
                todo.append(p)
    return out


def links(root):
    out = {}
    for d, _, files in os.walk(root):
        for f in files:
            p = os.path.join(d, f)
            st = os.lstat(p)
            if st.st_nlink > 1:
                out[text(os.path.relpath(p, root))] = "%d:%d" % (st.st_dev, st.st_ino)
    return out


def save(o, path):
    with open(path, "w") as f:
        json.dump(o, f)


def load(path):
    with open(path) as f:
        return json.load(f)


def members(path):
    """A tar as an ordered list of (path, node); a hard link is (path, target)."""
    out = []
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as t:
        for m in t:
            kind = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.CHRTYPE: "char",
                    tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo", tarfile.LNKTYPE: "hard"}[m.type]
            n = {"type": kind, "mode": m.mode, "uid": m.uid, "gid": m.gid, "mtime": m.mtime, "link": m.linkname,
                 "dev": [m.devmajor, m.devminor] if kind in ("char", "block") else [0, 0], "data": "", "xattrs": {}}
            if kind == "file":
                n["data"] = base64.b64encode(t.extractfile(m).read()).decode()
            for k, v in m.pax_headers.items():
                if k.startswith("SCHILY.xattr."):
                    n["xattrs"][k[13:]] = base64.b64encode(raw(v)).decode()
            name = m.name[2:] if m.name.startswith("./") else m.name
            out.append(("" if name == "." else name, n))
    return out


# A random base

def bytecode(r, mtime, size):
    body = b"".join(r.choice([b"code", b"/tmp/pip-target-%08x/m.py" % r.getrandbits(32), b"pip-target-ab_9z8y7/", b"pip-target-SHORT/",
                              b"pip-target-", b"\0\xff"]) for _ in range(r.randrange(4)))
    if r.random() < 0.05:
        body = body.rjust(131072 - r.randrange(40), b"x") + b"pip-target-zzzzzzzz/ "
    return b"\xa7\r\r\n" + struct.pack("<III", r.choice([0, 0, 0, 0, 1]), mtime & 0xffffffff, size) + body


def base(r):
    tree = {"": {"type": "dir", "mode": 0o755}}
    folders = [""]

    def add(path, kind, **more):
        tree[path] = dict(type=kind, mode=r.choice([0o644, 0o600, 0o755, 0o4755]), **more)

    for _ in range(r.choice([4, 12, 40])):
        d = r.choice(folders)
        p = (d + "/" if d else "") + text(r.choice(NAMES))
        kind = r.choice("ffffddddlsp")
        if p in tree or p.count("/") > 4:
            continue
        if kind == "d":
            add(p, "dir")
            folders.append(p)
        elif kind == "l":
            add(p, "symlink", link=r.choice(["a", "../b", "/c/d", "none"]))
        elif kind == "s" and not ONE:
            add(p, "char", dev=[240, 3])
        elif kind == "p":
            add(p, "fifo")
        else:
            add(p, "file", data=r.randbytes(r.choice([0, 1, 10, 200000])))
    for d in r.sample(folders, min(len(folders), 3)):
        lead = d + "/" if d else ""
        for m in "mn":
            if lead + m + ".py" in tree or r.random() < 0.3:
                continue
            data = r.choice([b"x = 1\n", b"x = 2\n", b"y = 10\n"])
            add(lead + m + ".py", "file", data=data)
            tree[lead + m + ".py"]["mtime"] = t = r.choice(TIMES)
            if r.random() < 0.7:
                add(lead + "__pycache__", "dir")
                add(lead + "__pycache__/" + m + ".cpython-38.pyc", "file", data=bytecode(r, r.choice([t, t, 5]), len(data)))
            if r.random() < 0.2:
                add(lead + m + ".pyc", "file", data=bytecode(r, t, len(data)))
    for p, n in tree.items():
        n.setdefault("mtime", r.choice(TIMES))
        n.setdefault("data", b"")
        n.setdefault("link", "")
        n.setdefault("dev", [0, 0])
        n["uid"], n["gid"] = r.choice([0, 0, 7]), r.choice([0, 0, 9])
        n["xattrs"] = {}
        if n["type"] in ("file", "dir") and r.random() < 0.2:
            n["xattrs"]["user.k"] = r.choice([b"v", b"", b"\0w\xff"])
        if n["type"] == "file" and r.random() < 0.1:
            n["xattrs"][CAP] = r.choice(CAPS)
        if n["type"] == "symlink":
            n["mode"] = 0o777
    return tree


def write_tar(tree, tar):
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as t:
        for p in sorted(tree):
            n, ti = tree[p], tarfile.TarInfo(p or ".")
            ti.type = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "char": tarfile.CHRTYPE,
                       "fifo": tarfile.FIFOTYPE}[n["type"]]
            ti.mode, ti.uid, ti.gid, ti.mtime, ti.linkname, ti.size = n["mode"], n["uid"], n["gid"], n["mtime"], n["link"], len(n["data"])
            ti.devmajor, ti.devminor = n["dev"]
            ti.pax_headers = {"SCHILY.xattr." + k: text(v) for k, v in n["xattrs"].items()}
            t.addfile(ti, io.BytesIO(n["data"]))


def write_folder(tree, folder):
    os.mkdir(folder)
    for p in sorted(tree):
        n, q = tree[p], raw(os.path.join(folder, p)) if p else raw(folder)
        if n["type"] == "dir" and p:
            os.mkdir(q)
        elif n["type"] == "file":
            with open(q, "wb") as f:
                f.write(n["data"])
        elif n["type"] == "symlink":
            os.symlink(n["link"], q)
        elif n["type"] == "fifo":
            os.mkfifo(q)
        elif n["type"] == "char":
            os.mknod(q, 0o600 | stat.S_IFCHR, os.makedev(*n["dev"]))
    for p in sorted(tree, reverse=True):
        n, q = tree[p], raw(os.path.join(folder, p)) if p else raw(folder)
        if not ONE:
            os.chown(q, n["uid"], n["gid"], follow_symlinks=False)
        if n["type"] != "symlink":
            os.chmod(q, n["mode"])
        for k, v in n["xattrs"].items():
            os.setxattr(q, k, v)
        os.utime(q, (n["mtime"], n["mtime"]), follow_symlinks=False)


# Random changes

class Work:
    def __init__(self, r, root, time):
        self.r, self.root, self.time = r, raw(root), time
        os.umask(0o022)

    def every(self, kind=None):
        out = []
        for d, dirs, files in os.walk(self.root):
            out += [os.path.join(d, x) for x in dirs + files]
        out.sort()
        out = [p for p in out if not kind or KINDS[stat.S_IFMT(os.lstat(p).st_mode)] == kind]
        return out

    def some(self, kind=None):
        v = self.every(kind)
        if not v:
            raise OSError("nothing there")
        return self.r.choice(v)

    def folder(self):
        return self.r.choice([self.root] + self.every("dir"))

    def new(self):
        return os.path.join(self.folder(), self.r.choice(NAMES))

    def write(self, path, data):
        # a FIFO is an error, not a wait
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK), "wb") as f:
            f.write(data)

    def clear(self, path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def do_create(self):
        self.write(self.new(), self.r.randbytes(self.r.choice([0, 5, 3000])))

    def do_same_again(self):
        p = self.some("file")
        with open(p, "rb") as f:
            data = f.read()
        self.write(p, data)

    def do_one_byte(self):
        p = self.some("file")
        size = os.path.getsize(p)
        with open(p, "r+b") as f:
            f.seek(self.r.randrange(size + 1))
            f.write(b"!")

    def do_open(self):
        open(self.some("file"), "ab").close()

    def do_touch(self):
        t = self.r.choice(TIMES + [self.time])
        os.utime(self.some(), (t, t), follow_symlinks=False)

    def do_chmod(self):
        p = self.some()
        if not os.path.islink(p):
            os.chmod(p, self.r.choice([0o644, 0o755, 0o2755, os.lstat(p).st_mode & 0o7777]))

    def do_chmod_root(self):
        os.chmod(self.root, self.r.choice([0o755, 0o711]))

    def do_chown(self):
        if not ONE:
            os.chown(self.some(), self.r.choice([0, 7]), self.r.choice([0, 9]), follow_symlinks=False)

    def do_remove(self):
        self.clear(self.some())

    def do_remove_folder(self):
        self.clear(self.some("dir"))

    def do_empty_folder(self):
        p = self.some("dir")
        shutil.rmtree(p)
        os.mkdir(p)

    def do_mkdir(self):
        os.makedirs(os.path.join(self.new(), self.r.choice(NAMES)))

    def do_move(self):
        a, b = self.some(), self.new()
        if os.path.lexists(b) and self.r.random() < 0.5:
            self.clear(b)
        if not b.startswith(a):
            shutil.move(os.fsdecode(a), os.fsdecode(b))

    def do_swap_in_folder(self):
        """As dpkg does: a new folder under another name."""
        p = self.new()
        os.mkdir(p + b"~")
        self.write(os.path.join(p + b"~", self.r.choice(NAMES)), b"in")
        os.rename(p + b"~", p)

    def do_copy_and_swap(self):
        """All is as before, but none of it is the same inode."""
        p = self.some("dir")
        os.spawnlp(os.P_WAIT, "cp", "cp", "-a", p, p + b"~")
        shutil.rmtree(p)
        os.rename(p + b"~", p)

    def do_replace(self):
        p = self.some()
        self.clear(p)
        kind = self.r.randrange(5)
        if kind == 0:
            self.write(p, b"other")
        elif kind == 1:
            os.makedirs(os.path.join(p, self.r.choice(NAMES)))
        elif kind == 2:
            os.symlink(self.r.choice(["a", "../b"]), p)
        elif kind == 3:
            os.mkfifo(p)
        else:
            s = socket.socket(socket.AF_UNIX)
            here = os.open(".", os.O_RDONLY)
            os.chdir(os.path.dirname(p))
            s.bind(os.path.basename(p))
            os.fchdir(here)

    def do_link(self):
        os.link(self.some(), self.new(), follow_symlinks=False)

    def do_symlink(self):
        os.symlink(self.r.choice(["a", "../b", "/c/d"]), self.new())

    def do_device(self):
        if not ONE:
            os.mknod(self.new(), 0o640 | stat.S_IFCHR, os.makedev(240, self.r.choice([3, 5])))

    def do_xattr(self):
        p = self.r.choice([self.some("file"), self.some("dir")])
        os.setxattr(p, self.r.choice(["user.k", "user.l", "user.overlay.opaque", "user.hod.x"]), self.r.choice([b"y", b"v", b"\0w\xff"]))

    def do_no_xattr(self):
        os.removexattr(self.some("file"), "user.k")

    def do_capability(self):
        os.setxattr(self.some("file"), CAP, self.r.choice(CAPS))

    def do_source(self):
        p = os.path.join(self.folder(), self.r.choice([b"m.py", b"n.py"]))
        self.write(p, self.r.choice([b"x = 1\n", b"x = 2\n", b"y = 10\n"]))
        if self.r.random() < 0.5:
            t = self.r.choice(TIMES + [self.time])
            os.utime(p, (t, t))
        if self.r.random() < 0.7:
            self.compile(p)

    def compile(self, p):
        d, name = os.path.split(p)
        st, r = os.lstat(p), self.r
        out = os.path.join(d, b"__pycache__", name[:-3] + r.choice([b".cpython-38.pyc", b".cpython-38.opt-1.pyc"]))
        if r.random() < 0.2:
            out = p + b"c"
        elif not os.path.isdir(os.path.dirname(out)):
            os.mkdir(os.path.dirname(out))
        fresh = r.random() < 0.7
        self.write(out, bytecode(r, int(st.st_mtime) if fresh else r.choice(TIMES + [self.time]), st.st_size))

    def sources(self, end=b".py"):
        v = [p for p in self.every("file") if p.endswith(end)]
        if not v:
            raise OSError("none")
        return self.r.choice(v)

    def do_compile(self):
        self.compile(self.sources())

    def do_touch_source(self):
        t = self.r.choice(TIMES + [self.time])
        os.utime(self.sources(), (t, t))

    def do_chmod_source(self):
        os.chmod(self.sources(self.r.choice([b".py", b".pyc"])), self.r.choice([0o644, 0o640, 0o4755]))

    def do_rewrite_source(self):
        self.write(self.sources(), self.r.choice([b"x = 1\n", b"x = 2\n"]))

    def do_link_bytecode(self):
        a = self.sources(b".pyc")
        b = os.path.join(os.path.dirname(a), self.r.choice([b"m.cpython-38.pyc", b"n.cpython-38.pyc", b"other"]))
        self.clear(b)
        os.link(a, b)


def work(r, root, time):
    w = Work(r, root, time)
    verbs = sorted(k for k in dir(w) if k.startswith("do_"))
    for _ in range(r.choice([1, 3, 10, 40])):
        verb = r.choice(verbs)
        try:
            getattr(w, verb)()
        except (OSError, shutil.Error, ValueError):
            pass


# The rules

def source_of(path):
    d, name = os.path.split(path)
    if os.path.basename(d) == "__pycache__":
        return os.path.join(os.path.dirname(d), name.split(".")[0] + ".py")
    return os.path.join(d, name[:-4] + ".py")


def header(data):
    if len(data) < 16:
        return None
    flags, mtime, size = struct.unpack("<III", data[4:16])
    return (mtime, size) if flags == 0 else None


def pip(data):
    import re
    return re.sub(rb"pip-target-[a-z0-9_]{8}/", b"pip-target-00000000/", data)


def content(n):
    return base64.b64decode(n["data"]) if n and n["type"] == "file" else None


def differs(a, b):
    return any(a[k] != b[k] for k in ("type", "mode", "uid", "gid", "link", "dev", "data", "xattrs")) or KEEP and a["mtime"] != b["mtime"]


def apply_bytecode(before, after, group, time):
    """Changes the contents of `after` by BYTECODE.  Names of one inode go together."""
    new, inodes = {}, {}
    is_new = lambda p: p not in before or differs(before[p], after[p])
    for p, n in after.items():
        if n["type"] == "file" and p.endswith(".pyc") and len(os.path.basename(p)) > 4:
            inodes.setdefault(group.get(p, p), []).append(p)
    for names in inodes.values():
        written = any(content(before.get(p)) != content(after[p]) for p in names)
        data = content(after[names[0]])
        inside = any(p in UPPER for p in names)
        stamps, others, taken, would = set(), False, set(), False
        for p in names:
            src, head = source_of(p), header(data)
            s = after.get(src)
            if not s or s["type"] != "file" or head is None or head[1] != len(content(s)):
                continue
            same_p, same_s = content(before.get(p)) == data, content(before.get(src)) == content(s)
            then = time if is_new(src) else before[src]["mtime"]
            now = before[src]["mtime"] if same_p and same_s else s["mtime"]
            taken.add(then & 0xffffffff)
            matters = not same_p or is_new(src)
            if matters and head[0] == now & 0xffffffff:
                stamps.add(then & 0xffffffff)
            else:
                others = True
                would = would or matters and head[0] == then & 0xffffffff
        if written and inside:
            data = pip(data)
        if stamps or would:
            none = min(set(range(len(taken) + 1)) - taken)
            data = data[:8] + struct.pack("<I", none if others or len(stamps) > 1 else stamps.pop()) + data[12:]
        for p in names:
            new[p] = data
    for p, data in new.items():
        after[p]["data"] = base64.b64encode(data).decode()
    # other names of a .pyc's inode say what it says, if they are in the layer
    for p in after:
        for q in inodes.get(group.get(p), []):
            if p not in new and is_new(p):
                after[p]["data"] = after[q]["data"]


UPPER = set()


def order(path):
    return tuple(raw(path).split(b"/")) if path else ()


def expected(before, after, group, time):
    """The layer's entries in order, and the tree after it."""
    after = {p: n for p, n in after.items() if n["type"] != "socket"}
    if ONE:
        for p, n in after.items():
            n["uid"], n["gid"] = (before[p]["uid"], before[p]["gid"]) if p in before else (0, 0)
    after[""]["mtime"] = before[""]["mtime"]
    if BYTECODE:
        apply_bytecode(before, after, group, time)
    changed = {p for p, n in after.items() if p not in before or differs(before[p], n)}
    gone = {p for p in before if p not in after and after.get(os.path.dirname(p), {}).get("type") == "dir"}
    parents = set()
    for p in changed | gone:
        while p:
            p = os.path.dirname(p)
            parents.add(p)
    parents -= {""} | changed
    out, first = [], {}
    for p in sorted(changed, key=order):
        n, g = after[p], group.get(p)
        n["mtime"] = n["mtime"] if KEEP else time
        if g and g in first and n["type"] != "dir":
            head = after[first[g]]
            n.update(uid=head["uid"], gid=head["gid"])
            out.append((p, dict(n, type="hard", link=first[g], data="", xattrs={}, dev=[0, 0])))
        else:
            if g:
                first[g] = p
            out.append((p, dict(n)))
    for p in parents:
        out.append((p, dict(before[p], mtime=before[p]["mtime"] if KEEP else time)))
    for p in gone:
        d, name = os.path.split(p)
        out.append((d + "/.wh." + name if d else ".wh." + name,
                    {"type": "file", "mode": 0o644, "uid": 0, "gid": 0, "mtime": time, "link": "", "dev": [0, 0], "data": "", "xattrs": {}}))
    out.sort(key=lambda e: order(e[0]))
    tree = {p: (n if p in changed else before[p]) for p, n in after.items()}
    for p in parents:
        tree[p] = dict(tree[p], mtime=tree[p]["mtime"] if KEEP else time)
    return out, tree


def fail(lines):
    print("\n".join(lines[:20]))
    sys.exit(1)


def compare(want, got, what):
    lines = []
    for k in sorted(set(want) | set(got), key=order):
        if want.get(k) != got.get(k):
            lines.append("%s %r\n  want %s\n  got  %s" % (what, k, show(want.get(k))[:600], show(got.get(k))[:600]))
    if lines:
        fail(lines)


def check_layer(before, after, group, tar, time, out):
    UPPER.update(load(group)["names"])
    want, tree = expected(load(before), load(after), load(group)["links"], time)
    got = members(tar)
    compare(dict(want), dict(got), "entry")
    if [p for p, _ in want] != [p for p, _ in got]:
        fail(["order: want %r\ngot %r" % ([p for p, _ in want], [p for p, _ in got])])
    save(tree, out)


def check_upper(root, tar):
    """An upper folder as the layer would be unpacked."""
    want, got, hard = {}, walk(raw(root)), {}
    for p, n in members(tar):
        d, name = os.path.split(p)
        if name.startswith(".wh."):
            p = os.path.join(d, name[4:])
            n = dict(n, type="char", mode=0, dev=[0, 0])
        if n["type"] == "hard":
            hard[p] = n["link"]
            n = want[n["link"]]
        want[p] = n
    got[""] = want.setdefault("", got[""])
    for p, n in list(want.items()) + list(got.items()):
        n["mode"] = 0 if n["type"] == "char" and n["dev"] == [0, 0] else n["mode"]
        if ONE:
            n["uid"] = n["gid"] = 0
    compare(want, got, "upper")
    names = links(raw(root))
    names = {text(k) if isinstance(k, bytes) else k: v for k, v in names.items()}
    if any(names.get(a, a) != names.get(b, b) for a, b in hard.items()) or len(names) - len(set(names.values())) != len(hard):
        fail(["hard links: want %r got %r" % (hard, names)])
    for p, n in got.items():
        q = os.path.join(raw(root), raw(p)) if p else raw(root)
        if n["type"] in ("dir", "file") and [x for x in os.listxattr(q) if "overlay" in x and p]:
            fail(["marks are left on %r: %r" % (p, os.listxattr(q))])


def same(a, b):
    a, b = load(a), load(b)
    for t in (a, b):
        for p, n in t.items():
            if ONE:
                n["uid"] = n["gid"] = 0
            if p == "" or n["type"] == "dir":
                n["mtime"] = 0
    compare(a, b, "merged")


def main():
    verb, a = ARGS[0], ARGS[1:]
    if verb == "base":
        tree = base(random.Random("base " + a[0]))
        write_tar(tree, a[1])
        write_folder(tree, a[2])
    elif verb == "pack":
        tree = walk(raw(a[0]))
        for n in tree.values():
            if ONE:
                n["uid"], n["gid"] = 7, 9
            n["data"] = base64.b64decode(n["data"])
            n["xattrs"] = {k: base64.b64decode(v) for k, v in n["xattrs"].items()}
        write_tar(tree, a[1])
    elif verb == "work":
        work(random.Random("work " + a[0]), a[1], int(a[2]))
    elif verb == "list":
        save(walk(raw(a[0])), a[1])
    elif verb == "links":
        save({"links": {text(k) if isinstance(k, bytes) else k: v for k, v in links(raw(a[0])).items()},
              "names": sorted(walk(raw(a[0])))}, a[1])
    elif verb == "tree":
        save(dict(members(a[0])), a[1])
    elif verb == "layer":
        check_layer(a[0], a[1], a[2], a[3], int(a[4]), a[5])
    elif verb == "upper":
        check_upper(a[0], a[1])
    elif verb == "same":
        same(a[0], a[1])
    else:
        sys.exit(__doc__)


main()
