#!/usr/bin/python3
"""listtree.py [--one] [--no-devices] FOLDER [EXPECTED]: what a folder on disk shows.

One line for each path, as mergetree.py prints them, from lstat, readlink, the extended attributes
and the content alone.  With EXPECTED (mergetree.py's output) the lines are compared with what the
folder should show of them, and the differences printed; the status is then 1.  What a disk does not
show of a layer: the mode of a symlink, capabilities that are none, the character device 0:0; with
--no-devices any device, with --one (all is the caller's) the owners.
"""
import argparse, hashlib, os, stat, sys

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char", stat.S_IFBLK: "block",
         stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


def text(b):
    return "".join(chr(c) if 33 <= c < 127 and c != 92 else "\\x%02x" % c for c in b) or "-"


def walk(top, path=b""):
    yield path
    full = os.path.join(top, path)
    if stat.S_ISDIR(os.lstat(full).st_mode):
        for name in sorted(os.listdir(full)):
            yield from walk(top, os.path.join(path, name) if path else name)


def lines(top):
    paths, first = list(walk(top)), {}
    for p in paths:
        st = os.lstat(os.path.join(top, p))
        first.setdefault((st.st_dev, st.st_ino), p)
    for p in paths:
        full = os.path.join(top, p)
        st = os.lstat(full)
        kind = TYPES[stat.S_IFMT(st.st_mode)]
        data, size = b"", 0
        if kind == "file":
            with open(full, "rb") as f:
                data = f.read()
            size = st.st_size
        link = os.readlink(full) if kind == "symlink" else b""
        dev = (os.major(st.st_rdev), os.minor(st.st_rdev)) if kind in ("char", "block") else (0, 0)
        xattrs = ",".join(text(os.fsencode(k)) + "=" + text(os.getxattr(full, k, follow_symlinks=False))
                          for k in sorted(os.listxattr(full, follow_symlinks=False)))
        mtime = st.st_mtime_ns // 10**9 if st.st_mtime_ns % 10**9 == 0 else "%.9f" % st.st_mtime
        group = text(first[st.st_dev, st.st_ino]) if kind != "dir" and st.st_nlink > 1 else "-"
        yield [text(p), kind, "%o" % stat.S_IMODE(st.st_mode), "%d:%d" % (st.st_uid, st.st_gid), str(mtime), str(size), text(link),
               "%d:%d" % dev, xattrs or "-", group, hashlib.sha256(data).hexdigest() if kind == "file" else "-"]


def on_disk(f, a):
    """The fields of an expected line as a disk shows them; None for nothing."""
    kind = f[1]
    if kind in ("char", "block") and (a.no_devices or (kind == "char" and f[7] == "0:0")):
        return None
    if kind == "symlink":
        f[2] = "777"
    kept = [x for x in f[8].split(",") if kind in ("file", "dir") and x.startswith("user.")]
    f[8] = ",".join(kept) or "-"
    return f


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--one", action="store_true")
    ap.add_argument("--no-devices", action="store_true")
    ap.add_argument("folder")
    ap.add_argument("expected", nargs="?")
    a = ap.parse_args()
    found = [*lines(os.fsencode(a.folder))]
    if not a.expected:
        for f in found:
            print(*f)
        return 0
    with open(a.expected) as e:
        wanted = [w for w in (on_disk(line.rstrip("\n").split(" "), a) for line in e) if w]
    if a.one:
        me = os.lstat(a.folder)
        for w in wanted:
            w[3] = "%d:%d" % (me.st_uid, me.st_gid)
    differ = False
    for line in sorted({*map(tuple, found)} ^ {*map(tuple, wanted)}):
        print("disk" if list(line) in found else "want", *line)
        differ = True
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
