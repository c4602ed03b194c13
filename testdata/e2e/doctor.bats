#!/usr/bin/env bats
# hod doctor: what it finds, as root, as ordinary users and where the host refuses something.
# bats file_tags=sandbox

load common
load users

setup_file() {
	[ "$(id -u)" != 0 ] || users_make
}

teardown_file() {
	[ "$(id -u)" != 0 ] || users_remove
}

# What needs root to arrange.
as_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# squeezed FILE: on one line, single blanks.
squeezed() {
	tr -s ' \n' ' ' <"$1"
}

# doctor STATUS COMMAND...: COMMAND with `doctor` as text in $T/text and as JSON in $T/json, which agree.
doctor() {
	local want=$1 line text
	shift
	if [ "$want" = 0 ]; then ok "$@" doctor; else fails "$want" "$@" doctor; fi
	cp "$T/stdout" "$T/text"
	if [ "$want" = 0 ]; then ok "$@" doctor --format json; else fails "$want" "$@" doctor --format json; fi
	cp "$T/stdout" "$T/json"
	text=$(squeezed "$T/text")
	while IFS= read -r line; do
		[[ $text == *" $line "* ]] || { echo "the text lacks: $line"; cat "$T/text"; return 1; }
	done < <(jq -r '.modes[].checks[] | "\(if .ok then "ok" elif .needed then "FAIL" else "-" end) \(.name) \(.text)" +
		if .cure then " cure: \(.cure)" else "" end' "$T/json" | tr -s ' ')
	same "checks" "$(grep -cE '^  (ok  |FAIL|-   )  ' "$T/text")" "$(jq '[.modes[].checks[]] | length' "$T/json")"
	same "modes that work" "$(grep -cE '^(root|userns.*): works' "$T/text")" "$(jq '[.modes[] | select(.works)] | length' "$T/json")"
	same "status" "$(jq .works "$T/json")" "$([ "$want" = 0 ] && echo true || echo false)"
	# only the store's path may be longer
	same "long lines" "$(grep -v '^  store ' "$T/text" | grep -E '.{81}')" ""
}

# mode ISOLATION IDS FILTER: of that mode in the JSON.
mode() {
	jq -r --arg i "$1" --arg n "$2" ".modes[] | select(.isolation == \$i and .ids == \$n) | $3" "$T/json"
}

# failed ISOLATION IDS: the name of the check for which it does not work.
failed() {
	mode "$1" "$2" '.checks[] | select(.ok == false and .needed) | .name'
}

cure() {
	mode "$1" "$2" '.checks[] | select(.ok == false and .needed) | .cure'
}

taken() {
	jq -r '"\(.isolation) \(.ids)"' "$T/json"
}

no_leftovers() {
	same "files in tmp" "$(find "$1/tmp" -mindepth 1)" ""
	same "mounts" "$(grep -F "$T" /proc/self/mounts)" ""
}

@test "whoever runs it, text and JSON agree and nothing is left" {
	local status=0
	hod doctor >/dev/null 2>&1 || status=$?
	[ "$status" = 0 ] || [ "$status" = 7 ]
	doctor "$status" hod
	same "kernel" "$(jq -r .host.kernel "$T/json")" "$(uname -r)"
	same "machine" "$(jq -r .host.machine "$T/json")" "$(uname -m)"
	same "uid" "$(jq .host.uid "$T/json")" "$(id -u)"
	same "store" "$(jq -r .host.store "$T/json")" "$HOD_ROOT"
	same "modes" "$(jq -c '[.modes[] | .isolation + " " + .ids]' "$T/json")" '["root all","userns range","userns one"]'
	no_leftovers "$HOD_ROOT"
}

@test "a mode works when no needed check failed, and the first failure is the last check" {
	hod doctor --format json >"$T/json" 2>/dev/null || true
	same "modes" "$(jq -c '[.modes[] | .works == ([.checks[] | select(.needed and (.ok | not))] | length == 0)] | all' "$T/json")" true
	same "ends" "$(jq -c '[.modes[] | select(.works | not) | .checks[-1] | .needed and (.ok | not)] | all' "$T/json")" true
}

@test "a wrong format is a mistake" {
	fails 2 hod doctor --format xml
	said "--format is text or json"
	fails 2 hod doctor now
}

@test "root takes real root" {
	as_root
	doctor 0 hod
	same "auto" "$(taken)" "root all"
	grep -q '^root: works, auto takes it$' "$T/text"
	grep -q '^RUN works on this host, with isolation root\.$' "$T/text"
	no_leftovers "$HOD_ROOT"
}

@test "a user with subordinate ids takes them" {
	as_root
	doctor 0 as_user "$USER_RANGE" "$HOD"
	same "auto" "$(taken)" "userns range"
	same "root" "$(failed root all)" ids
	same "one id" "$(mode userns one .works)" true
	same "ids" "$(jq -c '.host | [.subuids, .subgids, .newuidmap]' "$T/json")" "[65536,65536,true]"
	grep -q '^userns: works, auto takes it$' "$T/text"
	no_leftovers "$(user_root "$USER_RANGE")"
}

@test "a user without has one id, and is told how to get more" {
	as_root
	doctor 0 as_user "$USER_ONE" "$HOD"
	same "auto" "$(taken)" "userns one"
	same "range" "$(failed userns range)" ids
	[[ $(cure userns range) =~ ^"as root: usermod --add-subuids "[0-9]+-[0-9]+" --add-subgids "[0-9]+-[0-9]+" $USER_ONE"$ ]]
	same "owners" "$(mode userns one '.checks[] | select(.name == "owners") | "\(.ok) \(.needed)"')" "false false"
	no_leftovers "$(user_root "$USER_ONE")"
}

@test "the advice for subordinate ids works" {
	as_root
	local words
	as_user "$USER_ONE" "$HOD" doctor --format json >"$T/json"
	read -ra words <<<"$(cure userns range)"
	same "advice" "${words[*]:0:3}" "as root: usermod"
	# nobody else has these ids
	same "others with these ids" "$(grep -hE ":${words[4]%-*}:" /etc/subuid /etc/subgid)" ""
	users_locked "${words[@]:2}"
	doctor 0 as_user "$USER_ONE" "$HOD"
	users_locked usermod --del-subuids "${words[4]}" --del-subgids "${words[6]}" "$USER_ONE"
	same "auto" "$(taken)" "userns range"
}

@test "ranges of several lines, by number, overlapping and with rubbish between them" {
	as_root
	local uid first
	uid=$(id -u "$USER_ONE")
	first=3000000000
	printf '%s\n' "$USER_ONE:$first:100" "$USER_ONE:x:100" ":::" "$USER_ONE:$((first + 50)):100" "$uid:$((first + 1000)):70000" |
		tee -a /etc/subgid >>/etc/subuid
	doctor 0 as_user "$USER_ONE" "$HOD" || true
	users_locked sed -i -e "/^$USER_ONE:/d" -e "/^$uid:/d" -e '/^:::$/d' /etc/subuid /etc/subgid
	same "auto" "$(taken)" "userns range"
	mode userns range '.checks[0].text' | grep -F ' 70150 uids and 70150 gids more'
}

@test "no_new_privs takes newuidmap's rights away" {
	as_root
	doctor 0 as_user "$USER_RANGE" setpriv --no-new-privs "$HOD"
	same "auto" "$(taken)" "userns one"
	same "range" "$(failed userns range)" namespace
	cure userns range | grep -F no_new_privs
	same "host" "$(jq .host.no_new_privs "$T/json")" true
}

@test "no user namespaces allowed: the sysctl is named, status 7" {
	unshare -Ur true || skip "needs a user namespace"
	cat >"$T/limit" <<-'END'
		#!/bin/sh
		echo 0 >/proc/sys/user/max_user_namespaces
		exec "$@"
	END
	chmod +x "$T/limit"
	doctor 7 unshare -Ur "$T/limit" "$HOD"
	same "one id" "$(failed userns one)" namespace
	cure userns one | grep -F 'sysctl user.max_user_namespaces='
	said "no isolation works here" "sysctl user.max_user_namespaces="
	same "host" "$(jq .host.user_namespaces "$T/json")" 0
	no_leftovers "$HOD_ROOT"
}

@test "inside a chroot: no user namespace, and the chroot is named" {
	as_root
	as_user "$USER_ONE" true
	cat >"$T/inside" <<-END
		#!/bin/sh
		mount --rbind / "\$0.root" || exit 9
		exec chroot --userspec=$USER_ONE: "\$0.root" env HOD_ROOT="$(user_root "$USER_ONE")" "\$@"
	END
	chmod +x "$T/inside"
	mkdir "$T/inside.root"
	doctor 7 unshare -m "$T/inside" "$HOD"
	same "one id" "$(failed userns one)" namespace
	cure userns one | grep -F chroot
	said chroot
}

@test "a host that lets nothing be mounted in a user namespace" {
	as_root
	unshare -Ur true || skip "needs a user namespace"
	doctor 7 as_user "$USER_ONE" unshare -Ur setpriv --bounding-set=-all --inh-caps=-all "$HOD"
	same "root" "$(failed root all)" namespace
	same "one id" "$(failed userns one)" namespace
}

@test "a masked /proc, as in containers: the option is named" {
	as_root
	as_user "$USER_ONE" true
	cat >"$T/masked" <<-'END'
		#!/bin/sh
		mount -t tmpfs none /proc/irq || exit 9
		exec "$@"
	END
	chmod +x "$T/masked"
	masked() {
		unshare -m "$T/masked" setpriv --reuid "$USER_ONE" --regid "$USER_ONE" --clear-groups \
			env HOD_ROOT="$(user_root "$USER_ONE")" "$@"
	}
	doctor 7 masked "$HOD"
	same "one id" "$(failed userns one)" proc
	cure userns one | grep -F systempaths=unconfined
	no_leftovers "$(user_root "$USER_ONE")"
}

@test "a store on an overlay: another --root is the cure" {
	as_root
	mkdir "$T/o"
	cat >"$T/overlaid" <<-'END'
		#!/bin/sh
		cd "$1" && shift && mount -t tmpfs none . && cd "$PWD" && mkdir l u w m &&
			mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w m || exit 9
		export HOD_ROOT="$PWD/m"
		exec "$@"
	END
	chmod +x "$T/overlaid"
	doctor 7 unshare -m "$T/overlaid" "$T/o" "$HOD"
	same "root" "$(failed root all)" overlay
	cure root all | grep -F -e '--root (HOD_ROOT) on a volume or a tmpfs'
	same "file system" "$(jq -r .host.filesystem "$T/json")" overlay
}

@test "a tmpfs is good enough" {
	as_root
	mkdir "$T/o"
	cat >"$T/tmpfs" <<-'END'
		#!/bin/sh
		mount -t tmpfs none "$1" || exit 9
		export HOD_ROOT="$1/root"
		shift
		exec "$@"
	END
	chmod +x "$T/tmpfs"
	doctor 0 unshare -m "$T/tmpfs" "$T/o" "$HOD"
	same "auto" "$(taken)" "root all"
	same "file system" "$(jq -r .host.filesystem "$T/json")" tmpfs
}

@test "a killed doctor leaves nothing that the next does not remove" {
	as_root
	local root i pid
	root=$(user_root "$USER_RANGE")
	as_user "$USER_RANGE" true
	for i in 1 2 3 4 5 6 7 8; do
		# not by as_user, which would have a shell between
		setpriv --reuid "$USER_RANGE" --regid "$USER_RANGE" --clear-groups \
			env HOD_ROOT="$root" "$HOD" doctor >/dev/null 2>&1 &
		pid=$!
		sleep "0.0$i"
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	doctor 0 as_user "$USER_RANGE" "$HOD"
	no_leftovers "$root"
	# zombies wait for the machine's own process 1
	for i in 1 2 3 4 5 6 7 8 9 10; do
		pgrep -r D,R,S,T -U "$USER_RANGE" >/dev/null || return 0
		sleep 0.1
	done
	pgrep -a -U "$USER_RANGE"
	return 1
}
