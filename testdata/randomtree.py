#!/usr/bin/python3
"""randomtree.py SEED [--max-mib N] [--keep]: a random layer description on stdout.

For slowlayer.py and for the test of hod's own layer writer; the format is in README.md.  The
entries are shuffled, since their order must not matter.  --keep gives the entries times of their
own.  The same SEED gives the same description on every Python 3.
"""
import argparse, base64, hashlib, json, random

MIB = 1048576
SIZES = [0, 1, 511, 512, 513, MIB - 1024, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 5]
IDS = [0, 0, 0, 1, 1000, 65534, 2097151, 2097152, 4294967294]
TIMES = [315532800, 0, 1, 1700000000, 8589934591, 8589934592, -1]


class Tree:
    def __init__(self, seed, max_mib, keep):
        self.r = random.Random(seed)
        self.room, self.keep = max_mib * MIB, keep
        self.out, self.taken, self.folders, self.group = [], set(), [b""], 0

    def name(self, length=None):
        """One path component; sometimes with bytes that sort below '/' or are no UTF-8."""
        r = self.r
        if length is None:
            length = r.choice([1, 2, 3, 8, 8, 12, 20, 40])
        kind = r.randrange(8)
        if kind == 0:
            alphabet = bytes(b for b in range(1, 256) if b != 0x2f)
        elif kind == 1:
            alphabet = "äλ語é".encode()
        else:
            alphabet = b"abcdefghijklmnopqrstuvwxyz-. +_0123456789AB"
        text = bytes(r.choice(alphabet) for _ in range(length))
        return text if text not in (b".", b"..") and not text.startswith(b".wh.") else b"x" * length

    def path(self, total=None):
        """A new path, of exactly total bytes where asked for."""
        for _ in range(1000):
            folder = self.r.choice(self.folders)
            lead = len(folder) + 1 if folder else 0
            if total is not None and not 1 <= total - lead <= 250:
                continue
            path = (folder + b"/" if folder else b"") + self.name(None if total is None else total - lead)
            if path not in self.taken:
                self.taken.add(path)
                return path
        return None

    def add(self, kind, path, **more):
        r = self.r
        if path is None:
            return None
        e = {"type": kind}
        self.text(e, "path", path)
        if kind != "whiteout":
            e.update(mode=r.choice([0o644, 0o755, 0o600, 0o4755, 0o1777, 0o7777, 0]), uid=r.choice(IDS), gid=r.choice(IDS))
            if r.randrange(6) == 0:
                e["xattrs"] = self.xattrs()
            if self.keep:
                e["mtime"] = r.choice(TIMES)
        e.update(more)
        self.out.append(e)
        if kind == "dir" and path != b".":
            self.folders.append(path)
        return e

    def text(self, e, key, value):
        try:
            e[key] = value.decode()
        except UnicodeDecodeError:
            e[key + "_b64"] = base64.b64encode(value).decode()

    def xattrs(self):
        """Values that hold any byte, and record lengths about 100, 512 and 1000."""
        r, out = self.r, {}
        for name in r.sample(["user.a", "user.B", "user.a.b", "user.é", "security.capability", "trusted.z"], r.randrange(1, 4)):
            size = r.choice([0, 1, 20] + list(range(70, 90)) + [400, 480, 511] + list(range(970, 985)))
            out[name] = base64.b64encode(r.choice([bytes(size), b"\n=" * (size // 2), r.randbytes(size)])).decode()
        return out

    def content(self, size=None):
        r = self.r
        if size is None:
            size = r.choice([0, 1, 17, 511, 512, 513, 4000, 70000, r.randrange(400000)])
        size = size if size <= self.room else size % 1000
        self.room -= size
        if size <= 64 and r.randrange(2):
            return {"size": size, "data": base64.b64encode(r.randbytes(size)).decode()}
        return {"size": size, "seed": r.randrange(1 << 31), "text": bool(r.randrange(3))}

    def cut_path(self):
        """A path before which the stream is cut."""
        for i in range(10000):
            path = self.r.choice(self.folders)
            path = (path + b"/" if path else b"") + b"cut%d" % i
            if hashlib.sha256(path).digest()[0] & 63 == 0 and path not in self.taken:
                self.taken.add(path)
                return path
        return None

    def link(self):
        r = self.r
        return r.choice([b"x", b"../a/b", b"/etc/passwd", b"\xff\xfe/odd", "ä".encode() * 60,
                         b"l" * 99, b"l" * 100, b"l" * 101, b"/" + b"long/" * 60 + b"end"])

    def make(self):
        r = self.r
        if r.randrange(3) == 0:
            self.add("dir", b".")
        for _ in range(r.randrange(3, 25)):
            self.add("dir", self.path())
        for total in r.sample([98, 99, 100, 101, 154, 155, 156, 200, 255, 256, 257, 300], 6):
            self.add("dir", self.path(total))          # a folder's final slash counts
        for _ in range(r.randrange(5, 80)):
            self.add("file", self.path(), **self.content())
        for total in [1, 99, 100, 101, 155, 156, 157, 254, 255, 256, 257, 258, 400]:
            self.add("file", self.path(total), **self.content(r.choice([0, 3])))
        for size in r.sample(SIZES, 6):
            self.add("file", self.path(), **self.content(size))
        for _ in range(3):
            self.add("file", self.cut_path(), **self.content(r.choice(SIZES)))
        for _ in range(r.randrange(6)):
            self.add("dir", self.cut_path())
        for _ in range(r.randrange(10)):
            link = self.link()
            e = self.add("symlink", self.path(), mode=0o777)
            if e:
                self.text(e, "link", link)
        for _ in range(r.randrange(4)):
            self.add(r.choice(["char", "block"]), self.path(), major=r.choice([0, 1, 255, 2097151]), minor=r.choice([0, 3, 2097151]))
        for _ in range(r.randrange(3)):
            self.add("fifo", self.path())
        for _ in range(r.randrange(5)):
            self.add("whiteout", self.path())
        for _ in range(r.randrange(5)):
            self.hard()
        if r.randrange(3) == 0:     # a large file at the very end: the end blocks are a piece
            self.room = max(self.room, 2 * MIB)
            self.add("file", b"\xff\xff\xff", **self.content(r.choice([MIB, MIB + 1])))
        r.shuffle(self.out)

    def hard(self):
        """2-4 names of one inode; each line says all of it."""
        r = self.r
        self.group += 1
        first = self.add("file", self.path(), hard=self.group, **self.content(r.choice([None, 0, 5, MIB, MIB + 1])))
        for _ in range(r.randrange(1, 4)):
            path = self.path(r.choice([None, None, 101, 256, 300]))
            if path:
                e = {k: v for k, v in first.items() if not k.startswith("path")}
                self.text(e, "path", path)
                self.out.append(e)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("seed", type=int)
    ap.add_argument("--max-mib", type=int, default=12, help="all content together (default 12)")
    ap.add_argument("--keep", action="store_true")
    a = ap.parse_args()
    t = Tree(a.seed, a.max_mib, a.keep)
    # levels 0 to 9; times that need a pax record now and then
    print(json.dumps({"type": "layer", "time": t.r.choice(TIMES[:4] * 3 + TIMES), "level": t.r.choice([1, 1, 1, 0, 2, 3, 6, 9])}))
    t.make()
    for e in t.out:
        print(json.dumps(e, ensure_ascii=False))


if __name__ == "__main__":
    main()
