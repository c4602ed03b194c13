#!/usr/bin/env bats
# The reference Dockerfile with its RUN gives one digest, whoever builds it, where and when.

load common
load python
load users

setup_file() {
	python_setup_file
	[ "$(id -u)" = 0 ] || return 0
	users_make
	# the folder of the build may be closed to them
	cp -r "$FULL" "$BATS_FILE_TMPDIR/full"
	export FULL=$BATS_FILE_TMPDIR/full
	chmod -R a+rX "$FULL"
}

teardown_file() {
	users_remove
}

teardown() {
	index_stop
	python_teardown
}

# built NAME [COMMAND...]: prints the digest of a build run by COMMAND, with OPTIONS; its image is $T/NAME.d/out:x.
OPTIONS=()
built() {
	local name=$1
	shift
	mkdir -p "$T/$name.d"
	"$@" "$HOD" build --progress plain --build-context "public.ecr.aws/lambda/python:3.8=oci-layout://$FULL" \
		-o "oci:$T/$name.d/out:x" --metadata-file "$T/$name.d/metadata" "${OPTIONS[@]}" . >"$T/stdout" 2>"$T/stderr" || {
		echo "build $name: status $?"
		cat "$T/stdout" "$T/stderr"
		return 1
	} >&2
	jq -r '."containerimage.digest"' "$T/$name.d/metadata"
}

# The digest that all have to give: of the first build in this file, by who runs the tests.
first() {
	if [ ! -e "$BATS_FILE_TMPDIR/first" ]; then
		built first env HOD_ROOT="$T/first-root" >"$BATS_FILE_TMPDIR/first.part" &&
			"$TESTDATA/checkimage.py" check "$T/first.d/out:x" --base 6 >&2 &&
			last_diff_id_of first >"$BATS_FILE_TMPDIR/first.diff_id" &&
			task_of first >"$BATS_FILE_TMPDIR/first.task" &&
			mv "$BATS_FILE_TMPDIR/first.part" "$BATS_FILE_TMPDIR/first" || return
	fi
	cat "$BATS_FILE_TMPDIR/first"
}

# last_diff_id_of NAME: of the last layer, which is the RUN's.
last_diff_id_of() {
	"$TESTDATA/checkimage.py" config "$T/$1.d/out:x" | jq -r '.rootfs.diff_ids[-1]'
}

# task_of NAME: every file of the function's folder.
task_of() {
	"$TESTDATA/checkimage.py" tree "$T/$1.d/out:x" var/task
}

# other USER COMMAND...: as that user; the context is for all to read, the outputs to write.
other() {
	chmod 777 "$T"/*.d
	chmod -R a+rX .
	as_user "$@"
}

# owners USER: whether one or several ids own what that user's root has unpacked (the base has /var/mail of
# root:mail, /var/local of root:staff).
owners() {
	find "$(user_root "$1")/roots" -printf '%U:%G\n' | sort -u | awk 'END { print (NR > 1 ? "several" : "one") }'
}

@test "root, a user with subordinate ids, a user with one id: one digest" {
	reference
	want=$(first)
	[ "$(id -u)" = 0 ] || skip "not root: cannot become somebody else"
	same "a user with subordinate ids" "$(built range other "$USER_RANGE")" "$want"
	same "a user with one id" "$(built single other "$USER_ONE")" "$want"
	same "the same user, warm" "$(built again other "$USER_ONE")" "$want"
	# they really used what they were meant to
	same "owners on disk, subordinate ids" "$(owners "$USER_RANGE")" several
	same "owners on disk, one id" "$(owners "$USER_ONE")" one
}

@test "umask, TZ, locale, CPUs, hash seed, HOME, TMPDIR, folder, time of day: one digest" {
	reference
	want=$(first)
	mkdir -p "$T/tmp" "$T/elsewhere"
	cp -r . "$T/elsewhere/the context"
	cd "$T/elsewhere/the context"
	find . -exec touch -h -d 2001-02-03 {} +
	umask 077
	same "all of them at once" "$(built odd env HOD_ROOT="$T/odd" TZ=Pacific/Kiritimati LC_ALL=tr_TR.UTF-8 LANG=C \
		PYTHONHASHSEED=4711 PYTHONDONTWRITEBYTECODE=1 PIP_INDEX_URL=http://127.0.0.1:9/ PIP_TARGET=/nowhere \
		HOME=/nonexistent USER=somebody SHELL=/bin/false TMPDIR="$T/tmp" taskset -c 0)" "$want"
	umask 022
	same "files left in TMPDIR" "$(find "$T/tmp" -mindepth 1)" ""
}

@test "warm, after the RUN's cache entry is gone, and with the cache off: one digest" {
	reference
	want=$(first)
	same "cold" "$(built cold)" "$want"
	same "warm" "$(built warm)" "$want"
	grep -A3 'RUN  *pip3' "$T/stderr" | grep -q CACHED
	layer=$(last_diff_id_of warm)
	mapfile -t entries < <(grep -lF "$layer" "$HOD_ROOT"/steps/*)
	same "entries of the step" "${#entries[@]}" 1
	rm "${entries[0]}"
	same "the step ran again" "$(built removed)" "$want"
	grep -q 'Successfully installed greeting-1.0' "$T/stderr"
	same "warm again" "$(built warm2)" "$want"
	OPTIONS=(--no-cache)
	same "no cache" "$(built nocache)" "$want"
	grep -q 'Successfully installed greeting-1.0' "$T/stderr"
}

@test "pip from an https index: one digest of its own, the same files as from the folder" {
	reference
	want=$(first)
	index_start
	dockerfile <<-END
		FROM public.ecr.aws/lambda/python:3.8
		COPY ca.crt /etc/ssl/test-ca.crt
		ARG PIP_INDEX_URL=https://127.0.0.1:$INDEX_PORT/simple/
		ENV PIP_CERT=/etc/ssl/test-ca.crt PIP_NO_INDEX= PIP_FIND_LINKS=
		COPY test.py \${LAMBDA_TASK_ROOT}
		COPY requirements.txt  .
		RUN  pip3 install -r requirements.txt --target "\${LAMBDA_TASK_ROOT}"
		CMD [ "test.hambda_handler" ]
	END
	index=$(built index)
	grep -q "Looking in indexes: https://127.0.0.1:$INDEX_PORT/simple" "$T/stderr"
	same "requests for the wheel" "$(grep -c 'GET /files/greeting' "$T/index.log")" 1
	same "on another root" "$(built index2 env HOD_ROOT="$T/root2")" "$index"
	same "requests for the wheel" "$(grep -c 'GET /files/greeting' "$T/index.log")" 2
	[ "$index" != "$want" ]
	# not the same layer: pip imports more, and Python keeps the bytecode of what it imports
	diff "$BATS_FILE_TMPDIR/first.task" <(task_of index)
}

# day SETTING YEAR: builds, on a root of its own, on a day of that year.
day() {
	rm -rf "$T/day-root"
	OPTIONS=(--build-arg "DAY=$1")
	built day env HOD_ROOT="$T/day-root" >/dev/null
	grep -q "today-is-$2" "$T/stderr"
}

@test "on another day: the same layer" {
	reference
	first >/dev/null
	cp /usr/lib/*/faketime/libfaketime.so.1 libfaketime.so
	echo /opt/libfaketime.so >ld.so.preload
	{
		cat <<-'END'
			FROM public.ecr.aws/lambda/python:3.8 AS aged
			COPY libfaketime.so /opt/
			COPY ld.so.preload /etc/
			ARG DAY
			ENV NO_FAKE_STAT=1 FAKETIME=$DAY
			RUN date +today-is-%F
		END
		sed 's/^FROM .*/FROM aged/' Dockerfile
	} >"$T/Dockerfile"
	mv "$T/Dockerfile" .
	day "-3000d" "$(date -d '-3000 days' +%Y)"
	past=$(last_diff_id_of day)
	day "@2031-05-06 23:59:58" 2031
	same "a day in the future" "$(last_diff_id_of day)" "$past"
	same "today, without libfaketime" "$(cat "$BATS_FILE_TMPDIR/first.diff_id")" "$past"
}
