# users.bash: two ordinary users, for tests of what hod does without root.  `load common` first.
#
#   users_make      for setup_file, as root: $USER_RANGE, who has subordinate ids, and $USER_ONE, who
#                   has none; $HOD becomes a copy that both can run
#   users_remove    for teardown_file
#   as_user NAME COMMAND...   with a home, a root (HOD_ROOT) and a TMPDIR of its own below $T/NAME;
#                   takes the place of common.bash's function of this name
#   user_root NAME  the root that as_user gives
#   users_base      for setup_file: $BASE becomes a light base all of whose owners the users can have
#   modes           the words root, range, one
#   in_mode MODE COMMAND...   as root (TMPDIR is $T/tmp), as $USER_RANGE or as $USER_ONE
#
# Their names hold the process id of the run, so that several runs do not meet; those of runs that were
# killed are removed by the next.
# shellcheck shell=bash disable=SC2034

# users_locked COMMAND...: /etc/passwd and its kin have one writer at a time.
users_locked() {
	flock /etc "$@"
}

# user_delete NAME: its processes, then itself; useradd's own entries in /etc/subuid go along.
user_delete() {
	local pid
	for pid in $(pgrep -U "$1"); do
		kill -KILL "$pid" 2>/dev/null || true
	done
	users_locked userdel "$1" 2>/dev/null || true
}

users_sweep() {
	local name pid
	while read -r name; do
		pid=${name#hod-test-}
		[ -e "/proc/${pid%?}" ] || user_delete "$name"
	done < <(getent passwd | sed -nE 's/^(hod-test-[0-9]+[ro]):.*/\1/p')
}

users_make() {
	[ "$(id -u)" = 0 ] || skip "needs root, to make users"
	local user bin=$BATS_FILE_TMPDIR/bin
	users_sweep
	export USER_RANGE=hod-test-$$r USER_ONE=hod-test-$$o
	touch /etc/subuid /etc/subgid
	for user in "$USER_RANGE" "$USER_ONE"; do
		users_locked useradd --no-create-home --home-dir /nonexistent --user-group --shell /bin/sh "$user"
	done
	users_locked sed -i "/^$USER_ONE:/d" /etc/subuid /etc/subgid
	grep "^$USER_RANGE:[0-9]*:65536\$" /etc/subuid >/dev/null || {
		echo "useradd gave $USER_RANGE no subordinate ids"
		return 1
	}
	# a copy, as the folder of the build may be closed to others
	mkdir -p "$bin"
	cp "$HOD" "$bin/hod"
	export HOD=$bin/hod
	opened "$bin" "$BATS_FILE_TMPDIR"
	chmod 0755 "$bin" "$bin/hod"
}

users_remove() {
	local user
	for user in ${USER_RANGE-} ${USER_ONE-}; do
		user_delete "$user"
	done
}

# The light base has an owner and a group beyond the 65536 ids that a user is usually given.
users_base() {
	/usr/bin/python3 - "$TESTDATA/mkbase" "$BATS_FILE_TMPDIR/users-base" <<-'END'
		import importlib.machinery, importlib.util, sys
		sys.dont_write_bytecode = True
		loader = importlib.machinery.SourceFileLoader("mkbase", sys.argv[1])
		mkbase = importlib.util.module_from_spec(importlib.util.spec_from_loader("mkbase", loader))
		loader.exec_module(mkbase)
		layers = [([(t, b"\n".join(l for l in data.split(b"\n") if b"2097152" not in l) if t.name == "etc/group" else data)
		            for t, data in entries if max(t.uid, t.gid) < 65536], what) for entries, what in mkbase.light_layers()]
		for entries, _ in layers:
		    for t, data in entries:
		        if t.name == "etc/group":
		            t.size = len(data)
		layout = mkbase.Layout(sys.argv[2], "docker")
		layout.finish([layout.image(layers, {"architecture": "amd64", "os": "linux"}, "good", 1)], "3.8")
	END
	export BASE=$BATS_FILE_TMPDIR/users-base
}

user_root() {
	echo "$T/$1/root"
}

# The folder is made by root: what the user's own processes left in it is the user's.
as_user() {
	local name=$1 home=$T/$1
	shift
	if [ ! -d "$home" ]; then
		mkdir -p "$home/tmp"
		chown -R "$name:" "$home"
		opened "$T/context" "$T"
	fi
	setpriv --reuid "$name" --regid "$name" --clear-groups \
		env HOME="$home" HOD_ROOT="$home/root" TMPDIR="$home/tmp" DOCKER_CONFIG="$home/.docker" USER="$name" "$@"
}

modes() {
	printf '%s\n' root range one
}

in_mode() {
	local mode=$1
	shift
	case $mode in
	root)
		mkdir -p "$T/tmp"
		TMPDIR=$T/tmp "$@"
		;;
	range) as_user "$USER_RANGE" "$@" ;;
	one) as_user "$USER_ONE" "$@" ;;
	esac
}
