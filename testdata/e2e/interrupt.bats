#!/usr/bin/env bats
# SIGINT, SIGTERM and SIGKILL in each phase: the status, nothing left, and the next build is right.

load common

setup_file() {
	common_setup_file
}

teardown() {
	double_stop
}

# interrupt SIGNAL FILE COMMAND...: sends it when FILE (a condition) holds, prints the status.
interrupt() {
	local signal=$1 condition=$2 pid status=0 i
	shift 2
	# bats ignores SIGINT in background jobs; env gives it back
	env --default-signal=INT,TERM "$@" >"$T/stdout" 2>"$T/stderr" &
	pid=$!
	for ((i = 0; i < 400; i++)); do
		if eval "$condition"; then break; fi
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	kill -"$signal" "$pid" 2>/dev/null || true
	wait "$pid" || status=$?
	echo "$status" >"$T/status"
}

# stopped SIGNAL: the last command was, with nothing left.
stopped() {
	case $1 in
	INT) same "status" "$(cat "$T/status")" 130 ;;
	TERM) same "status" "$(cat "$T/status")" 143 ;;
	esac
	said "interrupted by SIG$1"
	nothing_left
}

@test "while the base is fetched" {
	local signal
	double --layout "$BASE" --name lambda/python
	put f x
	printf 'FROM %s/lambda/python:3.8\nCOPY --chown=app f /f\n' "$DOUBLE" >Dockerfile
	ok hod --root "$T/good" build -q .
	cp "$T/stdout" "$T/want"
	for signal in INT TERM; do
		rm -rf "$HOD_ROOT"
		: >"$T/double.log"
		faults '[{"match":"GET .*/blobs/","slow":2}]'
		interrupt $signal 'grep -q /blobs/ "$T/double.log" || find "$HOD_ROOT/tmp" -type f 2>/dev/null | grep -q .' "$HOD" build -t never:1 .
		stopped $signal
		faults '[]'
		ok hod build -q .
		same "the next build" "$(cat "$T/stdout")" "$(cat "$T/want")"
	done
	# a manifest that does not come
	rm -rf "$HOD_ROOT"
	faults '[{"match":"GET .*/manifests/","wait":60}]'
	SECONDS=0
	interrupt INT 'sleep 0.3' "$HOD" build -t never:1 .
	stopped INT
	[ "$SECONDS" -lt 10 ]
}

@test "while a layer is written" {
	local signal
	head -c 200000000 /dev/urandom >big
	printf 'FROM base\nCOPY big /big\n' >Dockerfile
	for signal in INT TERM; do
		rm -rf "$HOD_ROOT"
		interrupt $signal '[ -n "$(find "$HOD_ROOT/tmp" -type f -size +1M 2>/dev/null)" ]' \
			"$HOD" build --build-context base="oci-layout://$BASE" -t never:1 -o "oci:$T/out:x" .
		stopped $signal
	done
	rm big
	head -c 1000000 /dev/urandom >big
	ok hod build -q --build-context base="oci-layout://$BASE" .
	cp "$T/stdout" "$T/want"
	ok hod --root "$T/good" build -q --build-context base="oci-layout://$BASE" .
	same "the next build" "$(cat "$T/stdout")" "$(cat "$T/want")"
}

@test "while it is pushed" {
	local signal
	double --store "$T/store"
	put f x
	printf 'FROM base\nCOPY f /f\n' >Dockerfile
	ok hod build -q --build-context base="oci-layout://$BASE" -t "$DOUBLE/app/x:1" .
	for signal in INT TERM; do
		: >"$T/double.log"
		faults '[{"match":"(POST|PUT) .*/blobs/","wait":5}]'
		interrupt $signal 'sleep 0.5' "$HOD" push "$DOUBLE/app/x:1"
		case $signal in INT) same "status" "$(cat "$T/status")" 130 ;; TERM) same "status" "$(cat "$T/status")" 143 ;; esac
		said "interrupted by SIG$signal"
		same "files in tmp" "$(find "$HOD_ROOT/tmp" -mindepth 1 2>/dev/null)" ""
	done
	faults '[]'
	ok timeout 60 "$HOD" push "$DOUBLE/app/x:1"
	blobs_whole "$T/store/app/x"
}

@test "SIGKILL at random instants: the next build is right and sweeps what was left" {
	local i delay id
	head -c 3000000 /dev/urandom >big
	put small x
	cat >Dockerfile <<-'END'
		FROM base
		COPY small /small
		COPY --chown=app big /big
		WORKDIR /new
	END
	ok hod --root "$T/good" build -q --build-context base="oci-layout://$BASE" .
	id=$(cat "$T/stdout")
	RANDOM=5
	for i in 1 2 3 4 5 6 7 8 9 10; do
		delay=0.0$((RANDOM % 100 + 10))
		"$HOD" build -q --build-context base="oci-layout://$BASE" -t "k:$i" . >/dev/null 2>&1 &
		sleep "$delay"
		kill -KILL $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		blobs_whole "$HOD_ROOT"
		if [ $((i % 3)) = 0 ]; then
			ok hod build -q --build-context base="oci-layout://$BASE" .
			same "image" "$(cat "$T/stdout")" "$id"
			same "files in tmp" "$(find "$HOD_ROOT/tmp" -mindepth 1 2>/dev/null)" ""
			rm -rf "$HOD_ROOT/steps" "$HOD_ROOT/trees" "$HOD_ROOT"/blobs
		fi
	done
}
