#!/usr/bin/env bats
# The base: never unpacked, needed only as far as a step asks, and not at all once its indexes are here.

load common

setup_file() {
	common_setup_file registry
}

teardown_file() {
	common_teardown_file
}

@test "after a build the base's layers may be deleted: an edit, a rebuild and a push still succeed" {
	local layer first
	put app.py one
	cat >Dockerfile <<-END
		FROM $HOST/lambda/python:3.8
		COPY --chown=app app.py new/
		WORKDIR more
		CMD ["app.handler"]
	END
	ok hod build -t "$HOST/lambda/app:1" --push .
	for layer in $("$TESTDATA/checkimage.py" manifest "$BASE:3.8" | jq -r '.layers[].digest[7:]'); do
		rm -f "$HOD_ROOT/blobs/sha256/$layer"
	done
	put app.py two
	registry_mark "$REG"
	ok hod build -t "$HOST/lambda/app:2" --push --metadata-file "$T/m.json" .
	same "bytes of the base fetched again" "$(registry_sent "$REG")" 0
	first=$(jq -r '."containerimage.digest"' "$T/m.json")
	registry_skopeo "$REG" copy -q @/lambda/app:2 "oci:$T/out:x"
	"$TESTDATA/checkimage.py" tree "$T/out:x" var/task/new | grep -F '"two"'
	# and it is what a cold root makes
	HOD_ROOT=$T/root2 ok hod build -t "$HOST/other/app:2" --metadata-file "$T/m2.json" .
	same "digest" "$(jq -r '."containerimage.digest"' "$T/m2.json")" "$first"
}

@test "no file of the base is ever written to disk" {
	command -v strace >/dev/null || skip "no strace"
	put app.py one
	cat >Dockerfile <<-END
		FROM $HOST/lambda/python:3.8
		COPY --chown=app app.py new/
		COPY --from=$HOST/lambda/python:3.8 /etc/passwd /copy
	END
	export ASAN_OPTIONS=detect_leaks=0 # which needs ptrace itself
	ok strace -f -qq -o "$T/trace" -e trace=openat,open,creat,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,link,linkat,rename,renameat,renameat2,openat2,chroot,mount,pivot_root \
		"$HOD" build -t "$HOST/lambda/strace:1" --push .
	grep -q 'O_CREAT' "$T/trace"
	run ! grep -E 'chroot\(|mount\(|pivot_root\(|mknod|symlink' "$T/trace"
	# everything that it makes is in the root, under names that hod chose
	same "files of the base" "$(grep -E 'O_CREAT|O_TMPFILE|mkdir|link' "$T/trace" |
		grep -E 'busybox|bootstrap|lambda-entrypoint|passwd|etc/|usr/|var/task')" ""
	same "files of the base in the root" "$(find "$HOD_ROOT" -name 'busybox*' -o -name 'bootstrap' -o -name passwd)" ""
}

@test "a step that needs no tree fetches no layer; ENV on a cold root asks for manifest and config alone" {
	printf 'FROM %s/lambda/python:3.8\nENV A=1\nCMD ["x"]\n' "$HOST" >Dockerfile
	registry_mark "$REG"
	ok hod build -t "$HOST/lambda/env:1" .
	[ "$(registry_sent "$REG")" -lt 20000 ]
	# and the push mounts what the registry has under another name
	registry_mark "$REG"
	ok hod push "$HOST/lambda/env:1"
	[ "$(registry_sent "$REG")" -lt 20000 ]
	registry_skopeo "$REG" copy -q @/lambda/env:1 "oci:$T/out:x"
	same "A" "$(config '.config.Env[-1]')" '"A=1"'
}

@test "--pull asks again, otherwise a base that is here is not asked for" {
	printf 'FROM %s/lambda/python:3.8\nENV A=1\n' "$HOST" >Dockerfile
	ok hod build .
	registry_mark "$REG"
	ok hod build .
	same "requests" "$(registry_requests "$REG")" 0
	ok hod build --pull .
	[ "$(registry_requests "$REG")" -gt 0 ]
}

@test "a damaged index or cache entry is made again" {
	local first dir
	put app.py one
	printf 'FROM %s/lambda/python:3.8\nCOPY --chown=app app.py new/\n' "$HOST" >Dockerfile
	ok hod build -q .
	first=$(cat "$T/stdout")
	for dir in trees steps files; do
		[ -d "$HOD_ROOT/$dir" ] || continue
		find "$HOD_ROOT/$dir" -type f | while read -r f; do
			printf 'garbage' | dd of="$f" bs=1 seek=10 conv=notrunc status=none
			truncate -s -3 "$f"
		done
		ok hod build -q .
		same "after damage in $dir" "$(cat "$T/stdout")" "$first"
	done
	rm -rf "$HOD_ROOT/trees" "$HOD_ROOT/steps" "$HOD_ROOT/files"
	ok hod build -q .
	same "without caches" "$(cat "$T/stdout")" "$first"
}

@test "a damaged blob of a layer that hod made is not pushed" {
	local blob
	put app.py one
	printf 'FROM %s/lambda/python:3.8\nCOPY app.py new/\n' "$HOST" >Dockerfile
	ok hod build -t "$HOST/lambda/damage:1" --metadata-file "$T/m.json" .
	blob=$HOD_ROOT/blobs/sha256/$(jq -r '.layers[-1].digest[7:]' "$HOD_ROOT/blobs/sha256/$(jq -r '."containerimage.digest"[7:]' "$T/m.json")")
	[ -e "$blob" ]
	printf X | dd of="$blob" bs=1 seek=40 conv=notrunc status=none
	fails 6 hod push "$HOST/lambda/damage:1"
	# the next build repairs it
	ok hod build --no-cache -t "$HOST/lambda/damage:1" --push .
}
