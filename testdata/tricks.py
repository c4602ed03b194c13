#!/usr/bin/python3
"""tricks.py [--report FILE] HOST_FILE SECRET: run by a RUN, tries every usual way out of it.

HOST_FILE is a file of the host that everybody may read; SECRET is the name of a variable that hod's own
environment has.  Prints a line for each trick, `NAME: refused` with the errno, or `NAME: OPEN` with what
was reached; status 1 for any OPEN.  FILE gets the names of the open ones alone, or `nothing`.  Standard library only.
"""
import argparse, ctypes, errno, glob, os, signal, stat, sys

libc = ctypes.CDLL(None, use_errno=True)
TRICKS = []
MS_BIND, MS_REC, MS_REMOUNT, MS_RDONLY = 4096, 16384, 32, 1
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000


class Refused(Exception):
    pass


def trick(f):
    TRICKS.append(f)
    return f


def call(name, *args):
    """A function of libc, or by number a system call; the result, else OSError."""
    ctypes.set_errno(0)
    convert = [a if isinstance(a, (int, bytes, type(None), ctypes.Array)) else ctypes.byref(a) for a in args]
    convert = [ctypes.c_long(a) if isinstance(a, int) else a for a in convert]
    f, convert = (libc.syscall, [ctypes.c_long(name), *convert]) if isinstance(name, int) else (getattr(libc, name), convert)
    f.restype = ctypes.c_long
    r = f(*convert)
    if r == -1 or r == 0xffffffff:
        n = ctypes.get_errno()
        raise OSError(n, os.strerror(n))
    return r


def reads(path, dir_fd=None):
    """What a path gives, when it can be opened and read."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def any_of(tries):
    """The first of (name, function) that works; else the last refusal."""
    last = Refused("nothing to try")
    for name, f in tries:
        try:
            f()
            return name
        except OSError as e:
            last = e
    raise last


def passes(name, f):
    """f for any_of, of a system call that must be refused as such: another errno came from behind the gate."""
    def g():
        try:
            f()
        except OSError as e:
            if e.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
                raise
    return name, g


def in_child(f):
    """f in a process of its own; what it returns, or its OSError."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(w, b"+" + str(f()).encode())
        except OSError as e:
            os.write(w, b"-%d" % (e.errno or 0))
        except BaseException:
            os.write(w, b"-0")
        os._exit(0)
    os.close(w)
    text = os.read(r, 4096)
    os.close(r)
    os.waitpid(pid, 0)
    if text[:1] != b"+":
        n = int(text[1:] or b"0")
        raise OSError(n, os.strerror(n))
    return text[1:].decode()


def processes():
    return [p for p in os.listdir("/proc") if p.isdigit()]


# ---- files
@trick
def host_path(a):
    return reads(a.host_file)


@trick
def dots(a):
    return reads("/" + "../" * 64 + a.host_file.lstrip("/"))


@trick
def symlink_out(a):
    os.symlink("../" * 64 + a.host_file.lstrip("/"), "/tmp/out")
    try:
        return reads("/tmp/out")
    finally:
        os.unlink("/tmp/out")


@trick
def roots_of_processes(a):
    return any_of((f"{p}/{what}", lambda p=p, what=what: reads(f"/proc/{p}/{what}/" + up + a.host_file.lstrip("/")))
                  for p in processes() for what in ("root", "cwd", "task/" + p + "/root") for up in ("", "../" * 32))


@trick
def descriptors_of_processes(a):
    def out(fd):
        target = os.readlink(fd)
        if not os.path.isdir(fd):
            raise OSError(errno.ENOTDIR, target)
        reads(fd + "/" + "../" * 32 + a.host_file.lstrip("/"))
    return any_of((fd, lambda fd=fd: out(fd)) for fd in glob.glob("/proc/[0-9]*/fd/*"))


@trick
def own_descriptors(a):
    more = [fd for fd in range(3, 4096) if is_open(fd)]
    if not more:
        raise Refused("only 0, 1, 2")
    return more


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


@trick
def chroot_walk(a):
    def walk():
        os.makedirs("/tmp/jail", exist_ok=True)
        fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        os.chroot("/tmp/jail")
        os.fchdir(fd)
        for _ in range(64):
            os.chdir("..")
        os.chroot(".")
        return reads(a.host_file)
    try:
        return in_child(walk)
    finally:
        os.rmdir("/tmp/jail")


@trick
def file_handle(a):
    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 8)]
    # the root of ext4 is inode 2; any mount of that file system will do
    handle = Handle(8, 1, (ctypes.c_ubyte * 8)(2, 0, 0, 0, 0, 0, 0, 0))
    tries = []
    for path in ("/", "/etc/resolv.conf", "/etc/hosts", "/dev/null"):
        def f(path=path):
            fd = os.open(path, os.O_RDONLY)
            return call(304, fd, handle, os.O_RDONLY)
        tries.append((path, f))
    return any_of(tries)


# ---- mounts and namespaces
@trick
def bind_mount(a):
    return any_of((s, lambda s=s: call("mount", s.encode(), b"/mnt", None, MS_BIND | MS_REC, None)) for s in ("/", "/proc/1/root", "/proc"))


@trick
def new_mounts(a):
    return any_of((kind, lambda kind=kind: call("mount", b"none", b"/mnt", kind.encode(), 0, None))
                  for kind in ("tmpfs", "proc", "sysfs", "devtmpfs", "cgroup", "cgroup2", "devpts", "debugfs"))


@trick
def mount_api(a):
    # these have one number on all architectures
    return any_of([passes("open_tree", lambda: call(428, -100, b"/", 1)), passes("fsopen", lambda: call(430, b"tmpfs", 0)),
                   passes("fspick", lambda: call(433, -100, b"/", 0)), passes("mount_setattr", lambda: call(442, -100, b"/", 0, bytes(32), 32)),
                   passes("move_mount", lambda: call(429, -100, b"/proc", -100, b"/mnt", 0))])


@trick
def unmount(a):
    return any_of((t, lambda t=t: call("umount2", t.encode(), 2)) for t in ("/proc", "/sys", "/dev/shm", "/dev", "/etc/resolv.conf", "/etc/hosts"))


@trick
def remount(a):
    return any_of((t, lambda t=t: call("mount", None, t.encode(), None, MS_REMOUNT | MS_BIND, None))
                  for t in ("/sys", "/etc/resolv.conf", "/proc/sys", "/"))


@trick
def unshare(a):
    return any_of((name, lambda flag=flag: in_child(lambda: call("unshare", flag)))
                  for name, flag in (("mount", CLONE_NEWNS), ("user", CLONE_NEWUSER), ("both", CLONE_NEWNS | CLONE_NEWUSER), ("pid", CLONE_NEWPID)))


@trick
def clone_namespace(a):
    def clone():
        pid = call(56 if os.uname().machine == "x86_64" else 220, CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return pid
    return in_child(clone)


@trick
def setns(a):
    # mnt, user and pid namespaces of process 1
    return any_of((kind, lambda kind=kind: in_child(lambda: call("setns", os.open("/proc/1/ns/" + kind, os.O_RDONLY), 0)))
                  for kind in ("mnt", "user", "pid", "net"))


@trick
def pivot_root(a):
    return any_of([passes("pivot_root", lambda: call(155 if os.uname().machine == "x86_64" else 41, b"/", b"/tmp"))])


# ---- devices
@trick
def disks(a):
    """Disks, memory and the kernel's log: made where one may make nodes, and read."""
    numbers = [(stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 1, 2), (stat.S_IFCHR, 1, 11), (stat.S_IFCHR, 10, 237), (stat.S_IFCHR, 10, 229)]
    with open("/proc/partitions") as f:
        numbers += [(stat.S_IFBLK, int(line.split()[0]), int(line.split()[1])) for line in f if line.strip() and line.split()[0].isdigit()]

    def make(folder, kind, major, minor):
        path = folder + "/node"
        os.mknod(path, kind | 0o600, os.makedev(major, minor))
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        finally:
            os.unlink(path)
    return any_of((f"{folder} {major}:{minor}", lambda x=(folder, kind, major, minor): make(*x))
                  for folder in ("/tmp", "/dev", "/dev/shm", "/") for kind, major, minor in numbers)


@trick
def devices_there(a):
    """Only harmless devices in /dev."""
    allowed = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts/ptmx"}
    for folder, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)) and os.path.relpath(path, "/dev") not in allowed:
                return path
    raise Refused("only harmless ones")


# ---- processes
@trick
def outside_processes(a):
    """Process 1 is the sandbox's own, and there are but a few."""
    n = len(processes())
    if n > 20:
        return n
    raise Refused(f"{n} processes")


@trick
def environments(a):
    def look(p):
        with open(f"/proc/{p}/environ", "rb") as f:
            data = f.read()
        if a.secret.encode() not in data and b"HOD_ROOT" not in data:
            raise OSError(errno.ENOENT, "not in it")
    return any_of((p, lambda p=p: look(p)) for p in processes())


@trick
def own_environment(a):
    if a.secret not in os.environ:
        raise Refused("not in it")
    return os.environ[a.secret]


@trick
def program_of_process_1(a):
    return any_of((name, lambda path=path, flags=flags: os.close(os.open(path, flags))) for name, path, flags in (
        ("write", "/proc/1/exe", os.O_WRONLY), ("append", "/proc/1/exe", os.O_RDWR | os.O_APPEND), ("truncate", "/proc/1/exe", os.O_WRONLY | os.O_TRUNC)))


@trick
def memory_of_process_1(a):
    def attach():
        return call("ptrace", 16, 1, None, None)

    def vm():
        class Vec(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
        mine = ctypes.create_string_buffer(8)
        return call("process_vm_readv", 1, Vec(ctypes.cast(mine, ctypes.c_void_p), 8), 1, Vec(0x400000, 8), 1, 0)
    return any_of([("ptrace", attach), ("process_vm_readv", vm), ("mem", lambda: os.close(os.open("/proc/1/mem", os.O_RDWR)))])


# ---- the kernel's own files
def writable(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))


@trick
def kernel_settings(a):
    paths = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom", "/proc/sys/fs/binfmt_misc/register",
             "/proc/sysrq-trigger", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/irq/default_smp_affinity", "/proc/sys/kernel/randomize_va_space"]
    return any_of((p, lambda p=p: writable(p)) for p in paths)


@trick
def sys_files(a):
    paths = ["/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state", "/sys/kernel/profiling",
             "/sys/module/kernel/parameters/panic", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs",
             "/sys/fs/cgroup/memory/release_agent", *glob.glob("/sys/fs/cgroup/*/release_agent")]
    tries = [(p, lambda p=p: writable(p)) for p in paths]
    for folder in ("/sys", "/sys/fs/cgroup", "/sys/fs/cgroup/pids"):
        tries.append((folder, lambda folder=folder: os.mkdir(folder + "/hod-trick")))
    return any_of(tries)


@trick
def kernel_memory(a):
    def read(p):
        if not reads(p):
            raise OSError(errno.ENODATA, "empty")
    return any_of((p, lambda p=p: read(p)) for p in ("/proc/kcore", "/proc/keys", "/dev/mem", "/dev/kmsg", "/sys/kernel/debug/x"))


@trick
def system_calls(a):
    x86 = os.uname().machine == "x86_64"
    buf = bytes(128)
    tries = [("keyctl", lambda: call(250 if x86 else 219, 0, -3, 1)), ("add_key", lambda: call(248 if x86 else 217, b"user", b"hod", b"x", 1, -3)),
             ("request_key", lambda: call(249 if x86 else 218, b"user", b"hod", None, -3)),
             ("bpf", lambda: call(321 if x86 else 280, 0, ctypes.create_string_buffer(128), 128)), ("perf_event_open", lambda: call(298 if x86 else 241, buf, 0, -1, -1, 0)),
             ("userfaultfd", lambda: call(323 if x86 else 282, 1)), ("io_uring_setup", lambda: call(425, 1, ctypes.create_string_buffer(128))),
             ("kexec_load", lambda: call(246 if x86 else 104, 0, 0, 0, 0)), ("init_module", lambda: call(175 if x86 else 105, buf, 0, b"")),
             ("finit_module", lambda: call(313 if x86 else 273, 0, b"", 0)), ("acct", lambda: call("acct", None)),
             ("swapon", lambda: call("swapon", b"/tmp/x", 0)), ("settimeofday", lambda: call(164 if x86 else 170, None, None)),
             ("sethostname", lambda: call("sethostname", b"x", 1)), ("syslog", lambda: call(103 if x86 else 116, 3, ctypes.create_string_buffer(64), 64)),
             ("quotactl", lambda: call(179 if x86 else 60, 0x800002 << 8, b"/dev/x", 0, ctypes.create_string_buffer(64)))]
    if x86:
        tries += [("iopl", lambda: call(172, 3)), ("ioperm", lambda: call(173, 0x80, 1, 1)), ("x32 mount", lambda: call(0x40000000 + 165, b"none", b"/mnt", b"tmpfs", 0, None))]
    return any_of(passes(*t) for t in tries)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("host_file")
    ap.add_argument("secret")
    ap.add_argument("--report")
    a = ap.parse_args()
    opened = []
    for f in TRICKS:
        name = f.__name__.replace("_", " ")
        try:
            reached = f(a)
            print(f"{name}: OPEN: {reached}", flush=True)
            opened.append(name)
        except Refused as e:
            print(f"{name}: refused: {e}", flush=True)
        except OSError as e:
            print(f"{name}: refused: {errno.errorcode.get(e.errno, e)}")
    if a.report:
        with open(a.report, "w") as f:
            f.write("\n".join(opened or ["nothing"]) + "\n")
    sys.stdout.flush()
    sys.exit(bool(opened))


if __name__ == "__main__":
    main()
