#!/usr/bin/env bats
# apt-get inside a RUN: a service user, set-id files, a file capability; the same for root and for a user
# with subordinate ids, and as other readers see it.

load common
load users

setup_file() {
	users_make
	export DEBIAN=$TOP/build/debian
	"$TESTDATA/mkdebian" "$DEBIAN"
}

teardown_file() {
	users_remove
}

# What of an installation is not the packages' own:
# - the times in /var/log/apt and /var/log/dpkg.log;
# - inode times and numbers in apt's caches of lists, /var/cache/apt/*.bin;
# - the lists, which say when they were fetched;
# - the day of the last change in /etc/shadow, which SOURCE_DATE_EPOCH sets (useradd(8)).
install_file() {
	dockerfile <<-END
		FROM debian
		ENV DEBIAN_FRONTEND=noninteractive
		RUN apt-get update && SOURCE_DATE_EPOCH=$BASE_TIME apt-get install -y cron iputils-ping uuid-runtime \\
		    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log
	END
}

# apt_build MODE: the context, as that mode's user, as $T/out-MODE.
apt_build() {
	local out=$T/out-$1
	[ "$1" = root ] || out=$T/$USER_RANGE/out
	ok in_mode "$1" "$HOD" build --progress plain --build-context debian="oci-layout://$DEBIAN" -o "oci:$out:x" .
	[ "$out" = "$T/out-$1" ] || ln -s "$out" "$T/out-$1"
	said "isolation: $([ "$1" = root ] && echo root || echo userns)"
}

diff_ids() {
	"$TESTDATA/checkimage.py" config "$1:x" | jq -r '.rootfs.diff_ids[]'
}

# entries LAYER...: its `MODE UID:GID PATH`, octal, without links and removals; by Python's reader.
entries() {
	/usr/bin/python3 - "$@" <<-'END'
		import sys, tarfile
		for name in sys.argv[1:]:
		    for t in tarfile.open(name):
		        if not t.issym() and "/.wh." not in t.name:
		            print("%o %d:%d %s" % (t.mode, t.uid, t.gid, t.name.rstrip("/")))
	END
}

pod() {
	podman --root "$T/podman" --runroot "$T/podman-run" --runtime runc --storage-driver vfs --cgroup-manager cgroupfs "$@"
}

@test "root and a user with subordinate ids make the same layers" {
	install_file
	echo 'RUN apt-get purge -y cron && rm -rf /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log' >>Dockerfile
	apt_build root
	apt_build range
	same "layers" "$(diff_ids "$T/out-range")" "$(diff_ids "$T/out-root")"
	same "manifest" "$("$TESTDATA/checkimage.py" digest "$T/out-range:x")" "$("$TESTDATA/checkimage.py" digest "$T/out-root:x")"
	same "mistakes" "$("$TESTDATA/checkimage.py" check --base 1 "$T/out-root:x")" ""
	same "layers of its own" "$(diff_ids "$T/out-root" | tail -n +2 | wc -l)" 2
	# the purge removed a folder that the first step had made with a group of its own
	"$TESTDATA/checkimage.py" layer "$T/out-root:x" -1 >"$T/last"
	grep -E ' usr/sbin/\.wh\.cron$' "$T/last"
	grep -E ' usr/bin/\.wh\.crontab$' "$T/last"
	# and what the sandbox mounts is in none
	same "mount points" "$(for i in 1 2; do "$TESTDATA/checkimage.py" layer "$T/out-root:x" $i; done |
		grep -E ' (dev|proc|sys)(/|$)| etc/(hosts|resolv\.conf)')" ""
}

@test "owners, modes and capabilities, as tar and podman see them" {
	local layer
	install_file
	apt_build root
	ln -sfn "$T/out-root" "$T/out"
	layer=$(image blob -1)
	tar --numeric-owner -tvf "$layer" >"$T/listing"
	# cron's group is the first of a new system, crontab; uuid-runtime's user and group the next
	awk '{ print $1, $2, $6 }' "$T/listing" | grep -E ' (usr/bin/crontab|var/spool/cron/crontabs/|var/lib/libuuid/|etc/shadow|etc/gshadow|usr/bin/ping)$' |
		sort -k3 >"$T/have"
	diff -u - "$T/have" <<-'END'
		-rw-r----- 0/42 etc/gshadow
		-rw-r----- 0/42 etc/shadow
		-rwxr-sr-x 0/101 usr/bin/crontab
		-rwxr-xr-x 0/0 usr/bin/ping
		drwxrwsr-x 100/102 var/lib/libuuid/
		drwx-wx--T 0/101 var/spool/cron/crontabs/
	END
	# capabilities(7): version 2, effective; CAP_NET_RAW is bit 13
	/usr/bin/python3 - "$layer" <<-'END'
		import struct, sys, tarfile
		t = {t.name: t.pax_headers for t in tarfile.open(sys.argv[1], errors="surrogateescape")}
		have = t["usr/bin/ping"]["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape")
		want = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
		assert have == want, have
		others = [n for n, h in t.items() if any(k.startswith("SCHILY.xattr.") for k in h) and n != "usr/bin/ping"]
		assert not others, others
	END
	[ "$(id -u)" = 0 ] || skip "not root: podman would need more of the host"
	entries "$layer" >"$T/want"
	unset DOCKER_CONFIG # podman takes a missing file for a mistake
	ok skopeo copy -q "oci:$T/out:x" "oci-archive:$T/image.tar:localhost/apt:x"
	ok pod load -q -i "$T/image.tar"
	# shellcheck disable=SC2016
	cut -d' ' -f3- "$T/want" | ok pod run --rm -i --network none --ulimit nofile=1024:20000 --ulimit nproc=1024:4096 localhost/apt:x \
		sh -c 'cd / && tr "\n" "\0" | xargs -0 stat -c "%a %u:%g %n" && echo = && /sbin/getcap -r /usr /opt && echo = && getent passwd uuidd && su -s /bin/sh uuidd -c id'
	diff -u "$T/want" <(sed '/^=$/,$d' "$T/stdout")
	diff -u - <(sed '1,/^=$/d' "$T/stdout") <<-'END'
		/usr/bin/ping cap_net_raw=ep
		=
		uuidd:x:100:102::/run/uuidd:/usr/sbin/nologin
		uid=100(uuidd) gid=102(uuidd) groups=102(uuidd)
	END
}
