#!/usr/bin/python3
"""slowlayer.py [options] DESCRIPTION: a layer from a description of its entries.

A second writer of the layer rules (hod-layers(5), TAR and GZIP), written from the
rules alone and with the standard library, to be compared byte for byte with hod's own.  Plain
and slow on purpose: the whole layer lies in memory.  The format of DESCRIPTION ("-": stdin) is in
README.md beside this file.
"""
import argparse, base64, collections, ctypes, hashlib, json, sys, zlib

MIB = 1048576


# ---- the description
def field(obj, name):
    """A text field as bytes; NAME_b64 carries what is not UTF-8."""
    if name + "_b64" in obj:
        return base64.b64decode(obj[name + "_b64"])
    return obj.get(name, "").encode()


def content(obj):
    if "seed" not in obj:
        return base64.b64decode(obj.get("data", ""))
    size, seed = obj["size"], obj["seed"]
    data = b"".join(hashlib.sha256(b"%d.%d" % (seed, i)).digest() for i in range(-(-size // 32)))
    if obj.get("text"):
        data = data.translate(bytes(0x61 + (b & 7) for b in range(256)))
    return data[:size]


# ---- tar
def octal(n, width):
    """Zero-padded octal and NUL, or None where the number does not fit."""
    return b"%0*o\0" % (width - 1, n) if 0 <= n < 8 ** (width - 1) else None


def split(name):
    """(prefix, name) of a header, or None: the rightmost slash that leaves 1-100 bytes after it
    and at most 155 before."""
    if len(name) <= 100:
        return b"", name
    for i in range(len(name) - 1, 0, -1):
        if name[i:i + 1] == b"/" and i <= 155 and 1 <= len(name) - i - 1 <= 100:
            return name[:i], name[i + 1:]
    return None


def record(key, value):
    body, n = b" " + key + b"=" + value + b"\n", 0
    while n != len(b"%d" % n) + len(body):
        n = len(b"%d" % n) + len(body)
    return b"%d" % n + body


def pad(data):
    return data + bytes(-len(data) % 512)


def header(name, prefix, mode, uid, gid, size, mtime, kind, link, major, minor):
    h = bytearray(512)
    for at, value in ((0, name), (100, octal(mode, 8)), (108, uid), (116, gid), (124, size),
                      (136, mtime), (148, b" " * 8), (156, kind), (157, link), (257, b"ustar\0" b"00"),
                      (329, octal(major, 8)), (337, octal(minor, 8)), (345, prefix)):
        h[at:at + len(value)] = value
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def head(e, T):
    """The header of an entry, a pax entry before it where one is needed."""
    pax = b""
    parts = split(e["name"])
    if parts is None:
        pax += record(b"path", e["name"])
        parts = b"", e["name"][:100]
    if len(e["link"]) > 100:
        pax += record(b"linkpath", e["link"])
    numbers = []
    for key, n, width in ((b"uid", e["uid"], 8), (b"gid", e["gid"], 8),
                          (b"size", len(e["data"]), 12), (b"mtime", e["mtime"], 12)):
        text = octal(n, width)
        if text is None:
            pax += record(key, b"%d" % n)
        numbers.append(text or octal(0, width))
    for key in sorted(e["xattrs"]):
        pax += record(b"SCHILY.xattr." + key, e["xattrs"][key])
    out = b""
    if pax:
        out = header(b"@PaxHeader", b"", 0o644, octal(0, 8), octal(0, 8), octal(len(pax), 12),
                     octal(T, 12) or octal(0, 12), b"x", b"", 0, 0) + pad(pax)
    return out + header(parts[1], parts[0], e["mode"], *numbers, e["kind"], e["link"][:100],
                        e["major"], e["minor"])


KIND = {"file": b"0", "symlink": b"2", "char": b"3", "block": b"4", "dir": b"5", "fifo": b"6", "whiteout": b"0"}


def entries(lines, T):
    """The entries in the order of the layer."""
    found = []
    for obj in lines:
        path = field(obj, "path")
        if obj["type"] == "whiteout":
            folder, _, name = path.rpartition(b"/")
            path = (folder + b"/" if folder else b"") + b".wh." + name
        found.append(([] if path == b"." else path.split(b"/"), path, obj))
    found.sort(key=lambda f: f[0])        # lists of names: a folder stands before all it holds
    firsts, known = {}, {b""}
    for _, path, obj in found:
        folder = path.rpartition(b"/")[0]
        if folder not in known:
            sys.exit(f"slowlayer: {path!r}: no entry for the folder {folder!r}")
        kind, link, data = obj["type"], field(obj, "link"), b""
        e = {"path": path, "name": path, "kind": KIND[kind], "mode": obj.get("mode", 0o644), "uid": obj.get("uid", 0),
             "gid": obj.get("gid", 0), "mtime": obj.get("mtime", T), "major": 0, "minor": 0,
             "xattrs": {k.encode(): base64.b64decode(v) for k, v in obj.get("xattrs", {}).items()}}
        if kind == "dir":
            e["name"] += b"/"
            known.add(path)
        elif kind == "symlink":
            e["mode"] = 0o777
        elif kind in ("char", "block"):
            e["major"], e["minor"] = obj["major"], obj["minor"]
        elif kind == "whiteout":
            e.update(mode=0o644, uid=0, gid=0, mtime=T, xattrs={})
        elif kind == "file":
            data = content(obj)
        group = obj.get("hard", 0)
        if group and group in firsts:
            e["kind"], link, data, e["xattrs"], e["major"], e["minor"] = b"1", firsts[group], b"", {}, 0, 0
        elif group:
            firsts[group] = path
        e["link"], e["data"] = link, data
        yield e


# ---- pieces
def pieces(lines, T):
    """The tar stream, cut."""
    open_ = bytearray()
    for e in entries(lines, T):
        if hashlib.sha256(e["path"]).digest()[0] & 63 == 0 and open_:
            yield bytes(open_)
            open_.clear()
        open_ += head(e, T)
        data = e["data"]
        if len(data) < MIB:
            open_ += pad(data)
            if len(open_) >= MIB:
                yield bytes(open_)
                open_.clear()
            continue
        yield bytes(open_)
        open_.clear()
        for at in range(0, len(data), MIB):
            yield pad(data[at:at + MIB])     # only the last needs padding: a MiB is whole blocks
    yield bytes(open_) + bytes(1024)


# ---- gzip
K = 1024
u8p, u8, u16, u32, u64 = ctypes.c_void_p, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class BitBuf(ctypes.Structure):
    _fields_ = [("bits", u64), ("bit_count", u32), ("out_buf", u8p), ("out_end", u8p), ("out_start", u8p)]


class State(ctypes.Structure):          # struct isal_zstate
    _fields_ = [("total_in_start", u32), ("block_next", u32), ("block_end", u32), ("dist_mask", u32),
                ("hash_mask", u32), ("state", ctypes.c_int), ("bitbuf", BitBuf), ("crc", u32),
                ("has_wrap_hdr", u8), ("has_eob_hdr", u8), ("has_eob", u8), ("has_hist", u8),
                ("has_level_buf_init", u16), ("count", u32), ("tmp_out_buff", u8 * 16), ("tmp_out_start", u32),
                ("tmp_out_end", u32), ("b_bytes_valid", u32), ("b_bytes_processed", u32),
                ("buffer", u8 * (2 * 32 * K + 288)), ("head", u16 * (8 * K))]


class Stream(ctypes.Structure):         # struct isal_zstream
    _fields_ = [("next_in", u8p), ("avail_in", u32), ("total_in", u32), ("next_out", u8p), ("avail_out", u32),
                ("total_out", u32), ("hufftables", u8p), ("level", u32), ("level_buf_size", u32), ("level_buf", u8p),
                ("end_of_stream", u16), ("flush", u16), ("gzip_flag", u16), ("hist_bits", u16), ("state", State)]


# ISAL_DEF_LVLn_DEFAULT: 4 K + two bytes a hash entry (8 K, 32 K entries) + 64 K tokens of 4 bytes
LEVEL_BUF = {0: 0, 1: 4 * K + 2 * 8 * K + 4 * 64 * K, 2: 4 * K + 2 * 32 * K + 4 * 64 * K}


def deflate(isal, piece, level):
    """One piece, from a fresh state, ended by an empty stored block."""
    if level > 2:
        z = zlib.compressobj(level, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY)
        return z.compress(piece) + z.flush(zlib.Z_SYNC_FLUSH)
    # ISA-L 2.30 lets the address of its state into the hash of a piece's third position: now and then
    # (about one address in 3000) that changes a match.  What most of five places give is the piece.
    arena, step = ctypes.create_string_buffer(ctypes.sizeof(Stream) + 4 * 65536 + 64), 65536
    room = len(piece) + len(piece) // 4 + K
    src, dst, work = ctypes.create_string_buffer(piece, len(piece)), ctypes.create_string_buffer(room), \
        ctypes.create_string_buffer(LEVEL_BUF[level] or 1)
    results = collections.Counter()
    for place in range(5):
        at = ctypes.addressof(arena) + place * step
        s = Stream.from_address(at + -at % 64)
        ctypes.memset(ctypes.addressof(s), 0, ctypes.sizeof(s))
        ctypes.memset(work, 0, len(work))
        isal.isal_deflate_init(ctypes.byref(s))
        s.next_in, s.avail_in, s.next_out, s.avail_out = ctypes.addressof(src), len(piece), ctypes.addressof(dst), room
        s.level, s.level_buf_size, s.level_buf = level, LEVEL_BUF[level], ctypes.addressof(work) if level else None
        s.end_of_stream, s.flush, s.gzip_flag = 0, 1, 0      # SYNC_FLUSH, IGZIP_DEFLATE
        if isal.isal_deflate(ctypes.byref(s)) or s.avail_in or not s.avail_out:
            sys.exit("slowlayer: isal_deflate failed")
        results[ctypes.string_at(dst, s.total_out)] += 1
    return results.most_common(1)[0][0]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("description")
    ap.add_argument("--time", type=int, help="T (else the description's, else 315532800)")
    ap.add_argument("--level", type=int, help="0-9 (else the description's, else 1)")
    ap.add_argument("--tar", help="write the tar stream here")
    ap.add_argument("--gzip", help="write the compressed layer here")
    ap.add_argument("--pieces", help="write the length of each piece here, one a line")
    a = ap.parse_args()
    with sys.stdin if a.description == "-" else open(a.description, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f if line.strip()]
    meta = collections.ChainMap(*[o for o in lines if o["type"] == "layer"])
    lines = [o for o in lines if o["type"] != "layer"]
    T = a.time if a.time is not None else meta.get("time", 315532800)
    level = a.level if a.level is not None else meta.get("level", 1)
    isal = ctypes.CDLL("libisal.so.2") if level < 3 else None
    cut = list(pieces(lines, T))
    tar = b"".join(cut)
    gz = bytes.fromhex("1f8b08000000000000ff") + b"".join(deflate(isal, p, level) for p in cut) + b"\3\0" \
        + zlib.crc32(tar).to_bytes(4, "little") + (len(tar) & 0xffffffff).to_bytes(4, "little")
    for name, data in ((a.tar, tar), (a.gzip, gz), (a.pieces, b"".join(b"%d\n" % len(p) for p in cut))):
        if name:
            with open(name, "wb") as f:
                f.write(data)
    # one line: the diff id, the digest, the number of pieces
    print("sha256:" + hashlib.sha256(tar).hexdigest(), "sha256:" + hashlib.sha256(gz).hexdigest(), len(cut))


if __name__ == "__main__":
    main()
