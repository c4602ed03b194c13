#!/usr/bin/env bats
# Python bytecode of a RUN (hod-layers(5), BYTECODE; hod-build(1), the environment of RUN).

load common
load python

setup_file() {
	python_setup_file
}

teardown() {
	index_stop
	python_teardown
}

teardown_file() {
	python_teardown "$BATS_FILE_TMPDIR/root"
}

# The Dockerfile: stdin, on the base.
on_base() {
	{
		echo 'FROM public.ecr.aws/lambda/python:3.8'
		cat
	} >Dockerfile
}

# fields FILE: flags, time and size of a header.
fields() {
	/usr/bin/python3 -c 'import struct, sys; print(*struct.unpack("<3I", open(sys.argv[1], "rb").read(16)[4:]))' "$1"
}

@test "what a RUN compiled is valid in the image, optimised, beside its source, and in the standard library" {
	warm
	on_base <<-'END'
		RUN printf 'X = {"a", "b"}\n' >m.py && printf 'X = 2\n' >legacy.py && printf 'X = 3\n' >hashed.py && \
			touch -d 2022-03-04T05:06:07.5 m.py && \
			python3 -c 'import m' && python3 -O -c 'import m' && \
			python3 -c 'import py_compile as p; p.compile("legacy.py", cfile="legacy.pyc"); p.compile("hashed.py", invalidation_mode=p.PycInvalidationMode.CHECKED_HASH)'
	END
	python_build
	unpacked
	root=$ROOTFS/var/task
	same m "$(fields "$root/__pycache__/m.cpython-311.pyc")" "0 $BASE_TIME 15"
	same "m, optimised" "$(fields "$root/__pycache__/m.cpython-311.opt-1.pyc")" "0 $BASE_TIME 15"
	same legacy "$(fields "$root/legacy.pyc")" "0 $BASE_TIME 6"
	[[ $(fields "$root/__pycache__/hashed.cpython-311.pyc") = "3 "* ]]
	same Python "$(verdicts m hashed)" "$(printf 'hashed matches\nm matches')"
	same "Python, optimised" "$(in_image python3 -O -v -c 'import m' 2>&1 | grep -c 'm.cpython-311.opt-1.pyc matches')" 1
	rm "$root/legacy.py"
	same "legacy, without its source" "$(in_image python3 -c 'import legacy; print(legacy.X)')" 2
	echo 'X = 2' >"$root/legacy.py"
	touch -d "@$BASE_TIME" "$root/legacy.py"
	count=$(bytecode_valid .)
	[ "$count" -gt 20 ]
}

@test "stale bytecode of a RUN stays stale: Python runs the source" {
	warm
	on_base <<-'END'
		RUN echo 'X = 1' >s.py && touch -d 2020-01-01 s.py && python3 -c 'import s' && \
			echo 'X = 2' >s.py && touch -d 2021-01-01 s.py
	END
	python_build
	unpacked
	same Python "$(verdicts s)" "s is stale"
	same value "$(in_image python3 -c 'import s; print(s.X)')" 2
}

@test "bytecode that only the image's time would make valid is not run" {
	warm
	# compiled when the source had the very time that all sources get
	on_base <<-END
		RUN echo 'X = 1' >s.py && touch -d @$BASE_TIME s.py && python3 -c 'import s' && \\
			echo 'X = 2' >s.py && touch -d 2021-01-01 s.py
	END
	python_build
	unpacked
	same value "$(in_image python3 -c 'import s; print(s.X)')" 2
}

@test "a source that a later RUN rewrote to the same size: its old bytecode is not run" {
	warm
	on_base <<-'END'
		RUN echo 'X = 1' >m.py && echo 'Y = 1' >kept.py && python3 -c 'import m, kept'
		RUN sed -i s/1/2/ m.py
		RUN sed s/1/3/ m.py >m.new && cat m.new >m.py && rm m.new
	END
	python_build
	unpacked
	same value "$(in_image python3 -c 'import m; print(m.X)')" 2
	same Python "$(verdicts kept)" "kept matches"
}

@test "a source that a COPY over it rewrote to the same size: its old bytecode is not run" {
	warm
	put m.py 'X = 2
'
	on_base <<-'END'
		RUN echo 'X = 1' >m.py && python3 -c 'import m'
		COPY m.py .
	END
	python_build
	unpacked
	same value "$(in_image python3 -c 'import m; print(m.X)')" 2
}

@test "a source that a later RUN rewrote and compiled: its new bytecode is valid" {
	warm
	on_base <<-'END'
		RUN echo 'X = 1' >m.py && python3 -c 'import m'
		RUN echo 'X = 2' >m.py && python3 -c 'import m'
	END
	python_build
	unpacked
	same Python "$(verdicts m)" "m matches"
	same value "$(in_image python3 -c 'import m; print(m.X)')" 2
}

@test "the next RUN finds the bytecode valid, whether the step ran or came from the cache" {
	on_base <<-'END'
		RUN echo 'X = {"a", "b"}' >m.py && touch -d 2022-03-04 m.py && python3 -c 'import m'
		ARG AGAIN
		RUN python3 -v -c 'import m' 2>&1 | grep '/m.*matches' && stat -c 'mtime-is-%Y' m.py
	END
	python_build --build-arg AGAIN=1
	grep -q '/var/task/__pycache__/m.cpython-311.pyc matches /var/task/m.py' "$T/stderr"
	said "mtime-is-$BASE_TIME"
	first=$(digest)
	python_build --build-arg AGAIN=2
	grep -q '/var/task/__pycache__/m.cpython-311.pyc matches /var/task/m.py' "$T/stderr"
	said "mtime-is-$BASE_TIME" CACHED
	rm -rf "$HOD_ROOT/uppers" "$HOD_ROOT/roots"
	python_build --build-arg AGAIN=3
	grep -q '/var/task/__pycache__/m.cpython-311.pyc matches /var/task/m.py' "$T/stderr"
	said "mtime-is-$BASE_TIME" CACHED
	python_build --build-arg AGAIN=1
	same "the digest" "$(digest)" "$first"
}

@test "pip's random folder is in no file, and Python says the right name" {
	warm
	reference
	python_build
	same "names of pip's folder" "$(last_layer | grep -aoE 'pip-target-[a-z0-9_]{8}/' | sort -u)" "pip-target-00000000/"
	# the bytecode of the three modules
	[ "$(last_layer | grep -aoF 'pip-target-00000000/' | wc -l)" -ge 3 ]
	unpacked
	same Python "$(verdicts greeting.words greeting.odd)" "$(printf '__init__ matches\nodd matches\nwords matches')"
	same "the code's file" "$(in_image python3 -c 'import greeting; print(greeting.hello.__code__.co_filename)')" \
		/var/task/greeting/__init__.py
	same "left by pip" "$(find "$ROOTFS/root" "$ROOTFS/tmp" "$ROOTFS/var/tmp" -mindepth 1 2>/dev/null)" ""
	count=$(bytecode_valid .)
	[ "$count" -gt 300 ]
}

@test "hashes and addresses are the same each time, whatever the caller has" {
	on_base <<-'END'
		RUN python3 -c 'print(hash("a"), id(object()), id({"a", "b"}), list({"in", "any", "order", "b"}))' >/seen; \
			echo "$PYTHONHASHSEED" >>/seen; cat /seen
	END
	python_build
	first=$(last_diff_id)
	same "the seed" "$(last_layer | tar -xO seen | tail -n 1)" 0
	HOD_ROOT=$T/root2 PYTHONHASHSEED=7 python_build
	same "cold, another seed of the caller" "$(last_diff_id)" "$first"
	A_LONG_NAME=$(head -c 5000 /dev/zero | tr '\0' x) python_build --no-cache
	same "a larger environment of the caller" "$(last_diff_id)" "$first"
	# the kernel lays out memory another way when the stack has no limit
	(ulimit -S -s "$(ulimit -H -s)" && python_build --no-cache)
	same "another limit of the stack" "$(last_diff_id)" "$first"
}

@test "the Dockerfile may set the hash seed itself, and neither it nor pip's variables are in the configuration" {
	warm
	on_base <<-'END'
		RUN env | grep -E '^(PYTHONHASHSEED|PIP_)' | sort | sed 's/^/first: /'
		ENV PYTHONHASHSEED=5
		ARG PIP_NO_CACHE_DIR=0
		RUN env | grep -E '^(PYTHONHASHSEED|PIP_)' | sort | sed 's/^/second: /'
	END
	python_build
	diff <(grep -oE '(first|second): [A-Z].*' "$T/stderr") - <<-'END'
		first: PIP_DISABLE_PIP_VERSION_CHECK=1
		first: PIP_FIND_LINKS=/opt/wheels
		first: PIP_NO_CACHE_DIR=1
		first: PIP_NO_INDEX=1
		first: PYTHONHASHSEED=0
		second: PIP_DISABLE_PIP_VERSION_CHECK=1
		second: PIP_FIND_LINKS=/opt/wheels
		second: PIP_NO_CACHE_DIR=0
		second: PIP_NO_INDEX=1
		second: PYTHONHASHSEED=5
	END
	same "Env" "$(config '[.config.Env[] | select(test("^(PYTHONHASHSEED|PIP_)"))]')" \
		'["PIP_NO_INDEX=1","PIP_FIND_LINKS=/opt/wheels","PYTHONHASHSEED=5"]'
}

@test "pip's cache and version check leave nothing, though pip is told to check" {
	warm
	# Debian's pip does not look for a new version of itself; everybody else's does
	mkdir -p "$T/wheels"
	/usr/bin/python3 - "$T/wheels/pip-99.0-py3-none-any.whl" <<-'END'
		import sys, zipfile
		with zipfile.ZipFile(sys.argv[1], "w") as z:
		    z.writestr("pip-99.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pip\nVersion: 99.0\n")
		    z.writestr("pip-99.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
		    z.writestr("pip-99.0.dist-info/RECORD", "")
	END
	index_start
	printf '[global]\ndisable-pip-version-check = false\n' >pip.conf
	on_base <<-END
		COPY ca.crt pip.conf /etc/
		ENV PIP_CERT=/etc/ca.crt PIP_NO_INDEX= PIP_FIND_LINKS= PIP_INDEX_URL=https://127.0.0.1:$INDEX_PORT/simple/
		RUN pip3 install --target /var/task greeting
	END
	python_build
	same "requests" "$(grep -oE 'GET [^ ]*' "$T/index.log")" "$(printf 'GET /simple/greeting/\nGET /files/greeting-1.0-py3-none-any.whl')"
	last_layer | tar -t >"$T/entries"
	grep -qx var/task/greeting/words.py "$T/entries"
	same "outside" "$(grep -vE '^(usr|var)/' "$T/entries")" ""
	# without hod's variables both would be there
	sed -i 's/^RUN /RUN env -u PIP_NO_CACHE_DIR -u PIP_DISABLE_PIP_VERSION_CHECK /' Dockerfile
	python_build
	grep -q 'GET /simple/pip/' "$T/index.log"
	last_layer | tar -t >"$T/entries"
	grep -q '^root/.cache/pip/http/.' "$T/entries"
	grep -q '^root/.cache/pip/selfcheck/.' "$T/entries"
}

@test "bytecode stays valid through COPY --from of a stage with another time" {
	warm
	on_base <<-'END'
		RUN echo 'X = {"a", "b"}' >m.py && python3 -c 'import m' && \
			echo 'X = 1' >s.py && touch -d 2020-01-01 s.py && python3 -c 'import s' && echo 'X = 2' >s.py && touch -d 2021-01-01 s.py
		RUN pip3 install --target /var/task greeting
	END
	python_build --timestamp 1600000000
	mv "$T/out" "$T/made"
	# an image of another time, and a stage of this build
	cp Dockerfile "$T/stage"
	{
		sed 's/^FROM .*/& AS stage/' "$T/stage"
		cat <<-'END'
			FROM public.ecr.aws/lambda/python:3.8
			COPY --from=made /var/task /opt/python/
			COPY --from=stage /var/task .
		END
	} >Dockerfile
	python_build --build-context "made=oci-layout://$T/made"
	unpacked
	for root in var/task opt/python; do
		same "$root: m" "$(fields "$ROOTFS/$root/__pycache__/m.cpython-311.pyc")" "0 $BASE_TIME 15"
		same "$root: Python" "$(in_image env PYTHONPATH="/$root" sh -c \
			"cd / && python3 -v -c 'import m, s, greeting.words; print(s.X)' 2>&1" | in_order)" "$(printf '2\n__init__ matches\nm matches\ns is stale\nwords matches')"
	done
	bytecode_valid var/task/greeting
	bytecode_valid opt/python/greeting
}

# Python's remarks on bytecode outside the standard library, and what it printed, in short.
in_order() {
	grep -v '/usr/lib/python3' |
		sed -nE "s/^# .*\/([a-z_]+)\.cpython[^ ]* matches .*/\1 matches/p; s/^# bytecode is stale for '(.*)'/\1 is stale/p; /^[0-9]+$/p" | sort
}

@test "--timestamp keep leaves bytecode, pip's folder and times alone" {
	warm
	on_base <<-'END'
		RUN echo 'X = 1' >m.py && touch -d 2022-03-04T05:06:07Z m.py && python3 -c 'import m' && \
			pip3 install --target /var/task greeting
	END
	python_build --timestamp keep
	same "names of pip's folder" "$(last_layer | grep -aoE 'pip-target-[a-z0-9_]{8}/' | sort -u | wc -l)" 1
	[ "$(last_layer | grep -aoE 'pip-target-[a-z0-9_]{8}/' | sort -u)" != "pip-target-00000000/" ]
	unpacked
	when=$(date -d 2022-03-04T05:06:07Z +%s)
	same m "$(fields "$ROOTFS/var/task/__pycache__/m.cpython-311.pyc")" "0 $when 6"
	same "m's mtime" "$(stat -c %Y "$ROOTFS/var/task/m.py")" "$when"
	same Python "$(verdicts m greeting.words)" "$(printf '__init__ matches\nm matches\nwords matches')"
}
