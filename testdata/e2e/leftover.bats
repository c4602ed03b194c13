#!/usr/bin/env bats
# What a RUN leaves behind: nothing.  No mounts, processes, cgroups, files outside the root or in its tmp;
# whether the step succeeded, failed, was interrupted, met a full disk, or hod itself was killed.

load common
load users

setup_file() {
	common_setup_file
	users_make
	users_base
}

teardown_file() {
	users_remove
}

teardown() {
	umount "$T/small" 2>/dev/null || true
}

# root_of MODE: where its hod keeps its files.
root_of() {
	case $1 in
	root) echo "$HOD_ROOT" ;;
	range) user_root "$USER_RANGE" ;;
	one) user_root "$USER_ONE" ;;
	esac
}

tmp_of() {
	case $1 in
	root) echo "$T/tmp" ;;
	range) echo "$T/$USER_RANGE/tmp" ;;
	one) echo "$T/$USER_ONE/tmp" ;;
	esac
}

# A number of seconds that no other process sleeps: how the steps' processes are found.
MARK=$((60000 + BASHPID % 5000))

# is_worker PID NAME: hod's child process, which runs from a copy in memory, with this test's store open.
is_worker() {
	[ "$2" = hod-run ] && readlink "/proc/$1/fd/"* 2>/dev/null | grep -qF "$T"
}

# living: what runs of hod ($HOD is a copy of this file's own) and of the steps.
living() {
	local exe pid words
	for exe in /proc/[0-9]*/exe; do
		pid=${exe#/proc/}
		pid=${pid%/exe}
		mapfile -d '' words 2>/dev/null <"/proc/$pid/cmdline" || continue
		if [ "$(readlink "$exe" 2>/dev/null)" = "$HOD" ] || is_worker "$pid" "${words[0]}" || [[ " ${words[*]} " = *" $MARK "* && ${words[0]} != *bats* ]]; then
			echo "$pid ${words[*]}"
		fi
	done 2>/dev/null
}

# cgroups: those that hod made, of processes that are gone.
cgroups() {
	local dir pid
	find /sys/fs/cgroup -type d -name 'hod-*-[0-9]*' 2>/dev/null | while read -r dir; do
		pid=${dir%-*}
		[ -e "/proc/${pid##*-}" ] || echo "$dir"
	done
}

# gone MODE [killed]: nothing is left.  After a kill processes have a moment to end, and the files in
# tmp and cgroups are the next run's to remove.
gone() {
	local i root
	root=$(root_of "$1")
	if [ "${2-}" = killed ]; then
		for ((i = 0; i < 100; i++)); do
			[ -n "$(living)" ] || break
			sleep 0.1
		done
	else
		same "files in the root's tmp" "$(ls -A "$root/tmp" 2>/dev/null)" ""
		same "cgroups" "$(cgroups)" ""
	fi
	same "processes" "$(living)" ""
	same "mounts" "$(grep -F "$T" /proc/self/mountinfo | grep -vF " $T/small ")" ""
	same "files in TMPDIR" "$(find "$(tmp_of "$1")" -mindepth 1)" ""
}

# run_build MODE OPTIONS...: as common.bash's build.
run_build() {
	local mode=$1
	shift
	in_mode "$mode" "$HOD" build --progress plain --build-context base="oci-layout://$BASE" "$@" .
}

@test "success, no change, failure, a name that no layer can have" {
	local mode
	for mode in $(modes); do
		dockerfile <<-END
			FROM base
			RUN true
			RUN (busybox setsid sleep $MARK &) ; sleep $MARK & echo 1 >/f
		END
		ok run_build "$mode"
		gone "$mode"
		echo 'RUN echo 2 >/g; sleep '$MARK' & exit 3' >>Dockerfile
		fails 1 run_build "$mode"
		said "exit code: 3"
		gone "$mode"
		sed -i '$d' Dockerfile
		echo 'RUN mkdir /d; touch /d/.wh.x' >>Dockerfile
		fails 1 run_build "$mode"
		gone "$mode"
		sed -i '$d' Dockerfile
		echo 'RUN ["/no/such"]' >>Dockerfile
		fails 1 run_build "$mode"
		gone "$mode"
	done
}

# begin MODE: a build in the background; $job is its job, $T/pid gets hod's own process id.
begin() {
	rm -f "$T/pid"
	touch "$T/pid"
	chmod 0666 "$T/pid"
	# bats ignores SIGINT in background jobs; env gives it back
	# shellcheck disable=SC2016
	in_mode "$1" sh -c 'echo $$ >"$1"; shift; exec env --default-signal=INT,TERM "$@"' sh "$T/pid" \
		"$HOD" build --progress plain --build-context base="oci-layout://$BASE" . >"$T/stdout" 2>"$T/stderr" 3>&- &
	job=$!
}

# stop_build SIGNAL MODE: when the step runs; prints the status.
stop_build() {
	local i job status=0
	begin "$2"
	for ((i = 0; i < 200; i++)); do
		if grep -q 'it runs' "$T/stderr"; then break; fi
		sleep 0.05
	done
	[ "$i" -lt 200 ] || cat "$T/stderr" >&2
	kill -"$1" "$(cat "$T/pid")"
	wait "$job" || status=$?
	echo "$status"
}

@test "Ctrl-C and SIGTERM while it runs: the status, at once, and nothing left" {
	local mode signal
	for mode in $(modes); do
		for signal in INT TERM; do
			dockerfile <<-END
				FROM base
				RUN (busybox setsid sleep $MARK &) ; echo it "runs" $signal; sleep $MARK
			END
			SECONDS=0
			same "status" "$(stop_build $signal "$mode")" "$([ $signal = INT ] && echo 130 || echo 143)"
			[ "$SECONDS" -lt 8 ]
			said "interrupted by SIG$signal"
			gone "$mode"
		done
	done
}

# What dies with hod must not need the step's help, nor hod's.
@test "SIGKILL of hod, or of its child, during a long step: all of it is gone" {
	local mode victim i job status
	for mode in $(modes); do
		for victim in hod child; do
			dockerfile <<-END
				FROM base
				RUN (busybox setsid sleep $MARK &) ; trap '' TERM HUP; echo it "runs" $victim; sleep $MARK
			END
			begin "$mode"
			for ((i = 0; i < 200; i++)); do
				if grep -q 'it runs' "$T/stderr"; then break; fi
				sleep 0.05
			done
			[ "$i" -lt 200 ]
			if [ $victim = hod ]; then
				kill -KILL "$(cat "$T/pid")"
				wait "$job" || true
			else
				kill -KILL "$(pgrep -P "$(cat "$T/pid")")"
				status=0
				wait "$job" || status=$?
				same "status" "$status" 1
			fi
			SECONDS=0
			gone "$mode" killed
			[ "$SECONDS" -lt 6 ]
			# the next one that runs something removes what a dead process left
			printf 'FROM base\nRUN true %s\n' $victim >Dockerfile
			ok run_build "$mode"
			gone "$mode"
		done
	done
}

# bats test_tags=slow
@test "a step that ignores SIGTERM is killed after ten seconds" {
	dockerfile <<-END
		FROM base
		RUN trap '' TERM; echo it "runs"; while :; do sleep 1; done
	END
	SECONDS=0
	same "status" "$(stop_build TERM root)" 143
	[ "$SECONDS" -ge 9 ] && [ "$SECONDS" -lt 20 ]
	gone root
}

@test "a full disk fails the step, or the build, and a smaller step then fits" {
	[ "$(id -u)" = 0 ] || skip "needs root, to mount a small file system"
	local text
	mkdir -p "$T/small"
	mount -t tmpfs -o size=24m none "$T/small"
	export HOD_ROOT=$T/small/root
	# the step sees it; or, as the layer is compressed badly, hod does
	for text in 'busybox dd if=/dev/zero of=/big bs=1M count=64' 'busybox dd if=/dev/urandom of=/big bs=1M count=14'; do
		printf 'FROM base\nRUN %s\n' "$text" >Dockerfile
		fails 1 run_build root
		said "No space left on device"
			gone root
	done
	printf 'FROM base\nRUN echo 1 >/small\n' >Dockerfile
	ok run_build root -q
	cp "$T/stdout" "$T/id"
	HOD_ROOT=$T/good ok run_build root -q
	same "image" "$(cat "$T/stdout")" "$(cat "$T/id")"
	blobs_whole "$T/small/root"
	# so full that not even a probe has room: that is no fault of the host's isolation
	dd if=/dev/zero of="$T/small/rest" bs=4k 2>/dev/null || true
	printf 'FROM base\nRUN echo 2 >/small\n' >Dockerfile
	fails 1 run_build root
	said "full"
	[[ $(cat "$T/stderr") != *newuidmap* ]]
}

# kills N: SIGKILL of hod at N instants, modes in turn; the next build is right, and sweeps.
kills() {
	local n=$1 i mode root id job list
	mapfile -t list < <(modes)
	put f x
	dockerfile <<-END
		FROM base
		RUN echo 1 >/one; mkdir /d; echo 2 >/d/two; rm -rf /opt/data; (busybox setsid sleep $MARK &); busybox usleep 60000
		COPY f /d/f
		RUN rm /d/two; mv /d /e; sleep $MARK & busybox usleep 60000; echo 3 >/e/three
	END
	HOD_ROOT=$T/good ok run_build root -q
	id=$(cat "$T/stdout")
	RANDOM=7
	for ((i = 0; i < n; i++)); do
		mode=${list[i % ${#list[@]}]}
		root=$(root_of "$mode")
		begin "$mode"
		sleep "0.$(printf %03d $((RANDOM % 600)))"
		kill -KILL "$(cat "$T/pid")" 2>/dev/null || true
		wait "$job" 2>/dev/null || true
		gone "$mode" killed
		blobs_whole "$root"
		ok run_build "$mode" -q
		same "image after kill $i, $mode" "$(cat "$T/stdout")" "$id"
		gone "$mode"
		# the next one does all of it again; every fourth time on the folders that it finds
		if ((i / ${#list[@]} % 4 == 3)); then
			rm -rf "$root"/steps
		else
			rm -rf "$root"
		fi
	done
}

@test "SIGKILL of hod at 10 instants: nothing lives, and the next build is right" {
	kills 10
}

# bats test_tags=slow
@test "SIGKILL of hod at 100 instants" {
	kills 100
}
