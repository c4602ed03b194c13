#!/usr/bin/env bats
# Python bytecode in a COPY: what was valid stays valid, what was not is left alone.

load common

setup_file() {
	common_setup_file
}

# app/: m and legacy with valid bytecode, stale with bytecode of another time, hashed with
# bytecode that holds a hash instead of a time.
make_app() {
	mkdir app
	echo 'X = {"a", "b"}' >app/m.py
	for name in stale legacy hashed; do echo "X = '$name'" >app/$name.py; done
	touch -d 2022-03-04T05:06:07Z app/*.py
	/usr/bin/python3 - <<-'END'
		import py_compile
		for name in ("m", "stale"):
		    py_compile.compile(f"app/{name}.py", doraise=True)
		py_compile.compile("app/legacy.py", cfile="app/legacy.pyc", doraise=True)
		py_compile.compile("app/hashed.py", doraise=True,
		                   invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
	END
	touch -d 2022-03-04T05:06:08Z app/stale.py
}

# fields FILE: flags, time and size of its header.
fields() {
	/usr/bin/python3 -c 'import struct, sys; print(*struct.unpack("<3I", open(sys.argv[1], "rb").read(16)[4:]))' "$1"
}

# verdicts FOLDER: what Python says of the bytecode when it imports the modules.
verdicts() {
	(cd "$1" && /usr/bin/python3 -v -c 'import m, stale, hashed' 2>&1) |
		sed -n "s/^# .*\/\(m\|hashed\)\.cpython.* matches .*/\1 matches/p; s/^# bytecode is stale for '\(.*\)'/\1 is stale/p" | sort
}

unpacked() {
	rm -rf "$T/bundle"
	ok umoci unpack --rootless --image "$T/out:x" "$T/bundle"
}

@test "valid bytecode gets its source's time, stale and hashed bytecode stays" {
	make_app
	dockerfile <<-'END'
		FROM scratch
		COPY app /app
	END
	build --timestamp 1700000000
	unpacked
	root=$T/bundle/rootfs/app
	tag=$(/usr/bin/python3 -c 'import sys; print(sys.implementation.cache_tag)')
	same m "$(fields "$root/__pycache__/m.$tag.pyc")" "0 1700000000 $(stat -c %s app/m.py)"
	same legacy "$(fields "$root/legacy.pyc")" "0 1700000000 $(stat -c %s app/legacy.py)"
	cmp "$root/__pycache__/stale.$tag.pyc" "app/__pycache__/stale.$tag.pyc"
	cmp "$root/__pycache__/hashed.$tag.pyc" "app/__pycache__/hashed.$tag.pyc"
	same "the rest of m" "$(tail -c +17 "$root/__pycache__/m.$tag.pyc" | sha256sum)" \
		"$(tail -c +17 "app/__pycache__/m.$tag.pyc" | sha256sum)"
	same Python "$(verdicts "$root")" "$(printf 'hashed matches\nm matches\nstale is stale')"
}

@test "bytecode stays valid from a stage to another, and in both from the cache" {
	make_app
	dockerfile <<-'END'
		FROM scratch AS made
		COPY app /app
		FROM scratch
		COPY --from=made /app /task
	END
	build --timestamp 1700000000
	first=$(digest)
	unpacked
	same Python "$(verdicts "$T/bundle/rootfs/task")" "$(printf 'hashed matches\nm matches\nstale is stale')"
	build --timestamp 1700000000
	same "the digest from the cache" "$(digest)" "$first"
	build --timestamp 1700000000 --no-cache
	same "the digest without the cache" "$(digest)" "$first"
}

@test "a source that is only touched changes the layer when its bytecode is no longer valid" {
	make_app
	dockerfile <<-'END'
		FROM scratch
		COPY app /app
	END
	build --timestamp 1700000000
	first=$(digest)
	touch -d 2023-01-01 app/hashed.py
	build --timestamp 1700000000
	same "no bytecode depends on it" "$(digest)" "$first"
	touch -d 2023-01-01 app/m.py
	build --timestamp 1700000000
	[ "$(digest)" != "$first" ]
}

@test "bytecode below that a new source would make valid becomes invalid" {
	make_app
	mkdir new
	tr abcdefghijklmnopqrstuvwxyz bcdefghijklmnopqrstuvwxyza <app/m.py >new/m.py
	cp app/hashed.py app/stale.py new
	cp -r app/__pycache__ kept
	dockerfile <<-'END'
		FROM scratch
		COPY app /app
		COPY new /app
	END
	build --timestamp 1700000000
	unpacked
	root=$T/bundle/rootfs/app
	tag=$(/usr/bin/python3 -c 'import sys; print(sys.implementation.cache_tag)')
	same m "$(fields "$root/__pycache__/m.$tag.pyc")" "0 0 $(stat -c %s app/m.py)"
	same "the rest of m" "$(tail -c +17 "$root/__pycache__/m.$tag.pyc" | sha256sum)" \
		"$(tail -c +17 "kept/m.$tag.pyc" | sha256sum)"
	cmp "$root/__pycache__/stale.$tag.pyc" "kept/stale.$tag.pyc"
	cmp "$root/__pycache__/hashed.$tag.pyc" "kept/hashed.$tag.pyc"
	same "what runs" "$(cd "$root" && /usr/bin/python3 -c 'import m; print(sorted(m.X))')" "['b', 'c']"
	build --timestamp 0
	unpacked
	same "where 0 is a time" "$(fields "$root/__pycache__/m.$tag.pyc")" "0 1 $(stat -c %s app/m.py)"
}

@test "--timestamp keep leaves bytecode and times alone" {
	make_app
	dockerfile <<-'END'
		FROM scratch
		COPY app /app
	END
	build --timestamp keep
	unpacked
	root=$T/bundle/rootfs/app
	for f in app/__pycache__/*.pyc; do cmp "$f" "$root/__pycache__/${f##*/}"; done
	same "mtime of m.py" "$(stat -c %Y "$root/m.py")" "$(stat -c %Y app/m.py)"
}
