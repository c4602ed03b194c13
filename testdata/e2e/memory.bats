#!/usr/bin/env bats
# Memory and temporary space do not grow with the input.

load common

setup_file() {
	common_setup_file
}

# under KIB: the last `peak` stayed below it.
under() {
	local have
	have=$(cat "$T/peak")
	echo "peak $have KiB"
	[ "$have" -lt "$1" ]
}

# random_file NAME MIB: the same bytes each time, no program's whole buffer.
random_file() {
	openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 00000000000000000000000000000000 -nosalt \
		</dev/zero 2>/dev/null | head -c "$2M" >"$1"
}

# large MIB: a build of a file so large; peak memory, and space beside the layer.
large() {
	local before after
	random_file big "$1"
	printf 'FROM base\nCOPY big /big\n' >Dockerfile
	mkdir -p "$HOD_ROOT"
	(
		# the largest sum of all files in the root while it runs
		while [ ! -e "$T/done" ]; do
			du -sk --apparent-size "$HOD_ROOT" 2>/dev/null | cut -f1 >>"$T/space"
			sleep 0.2
		done
	) 3>&- 4>&- &
	ok peak "$HOD" build -q --build-context base="oci-layout://$BASE" .
	: >"$T/done"
	wait
	under $((64 * 1024))
	before=$(sort -n "$T/space" | tail -n 1)
	after=$(du -sk --apparent-size "$HOD_ROOT" | cut -f1)
	echo "most $before KiB, at the end $after KiB"
	[ "$before" -le $((after + 2048)) ]
	rm -f big
	rm -rf "$HOD_ROOT"
}

# bats test_tags=measured
@test "512 MiB of random data: under 64 MiB, no more space than the layer" {
	large 512
}

# bats test_tags=slow,measured
@test "4 GiB of random data: under 64 MiB, no more space than the layer" {
	large 4096
}

# bats test_tags=measured
@test "a base and 500 small files: under 48 MiB" {
	local i
	mkdir src
	for ((i = 0; i < 500; i++)); do
		head -c 4000 /dev/urandom >"src/f$i"
	done
	printf 'FROM base\nCOPY --chown=app src /src/\n' >Dockerfile
	ok peak "$HOD" build -q --build-context base="oci-layout://$BASE" .
	under $((48 * 1024))
}

# bats test_tags=slow,measured
@test "a Lambda-like base from a registry and 500 small files: under 48 MiB" {
	local i
	"$TESTDATA/mkbase" "$TOP/build/base"
	registry_start "$T/registry"
	registry_push "$T/registry" "$TOP/build/base" lambda/python:3.8
	mkdir src
	for ((i = 0; i < 500; i++)); do
		head -c 40000 /dev/urandom >"src/f$i"
	done
	printf 'FROM 127.0.0.1:%s/lambda/python:3.8\nCOPY src ${LAMBDA_TASK_ROOT}/\n' "$REGISTRY_PORT" >Dockerfile
	ok peak "$HOD" build -q -t "127.0.0.1:$REGISTRY_PORT/app:1" --push .
	registry_stop "$T/registry"
	under $((48 * 1024))
}
