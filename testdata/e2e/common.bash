# common.bash: what the end-to-end tests share.  `load common` first.
#
# Each test has a folder of its own, $T, in which it starts: context/ (the working folder), root/
# (HOD_ROOT), home/.  The light base image is an OCI layout, $BASE (tag 3.8); build knows it as `base`.
# shellcheck shell=bash disable=SC2034

bats_require_minimum_version 1.5.0

TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
TESTDATA=$TOP/testdata
HOD=${HOD:-$TOP/build/hod}
# shellcheck source=testdata/registry
. "$TESTDATA/registry"

# The time of a build on the base: when the base was created, 2024-01-01.
BASE_TIME=1704067200

unset SOURCE_DATE_EPOCH DOCKER_AUTH_CONFIG REGISTRY_AUTH_FILE DOCKER_DEFAULT_PLATFORM BUILDKIT_PROGRESS \
	HOD_CONNECT_TO HTTP_PROXY HTTPS_PROXY http_proxy https_proxy ALL_PROXY NO_PROXY no_proxy NO_COLOR

# For setup_file: the base; with an argument also a registry that has it as lambda/python:3.8.
common_setup_file() {
	export BASE=$BATS_FILE_TMPDIR/base REG=$BATS_FILE_TMPDIR/registry
	"$TESTDATA/mkbase" --light "$BASE"
	[ "${1-}" = registry ] || return 0
	registry_start "$REG"
	export HOST=127.0.0.1:$REGISTRY_PORT
	registry_push "$REG" "$BASE:3.8" lambda/python:3.8 >/dev/null
}

common_teardown_file() {
	registry_stop "$REG"
}

setup() {
	T=$BATS_TEST_TMPDIR
	mkdir -p "$T/context" "$T/home"
	export HOD_ROOT=$T/root HOME=$T/home DOCKER_CONFIG=$T/home/.docker
	unset XDG_DATA_HOME XDG_RUNTIME_DIR
	umask 022
	cd "$T/context" || return
}

hod() {
	"$HOD" "$@"
}

# put FILE [TEXT]: a file of the context, with its folders.
put() {
	mkdir -p "$(dirname "$1")"
	printf '%s' "${2-}" >"$1"
}

# dockerfile: the Dockerfile, from stdin.
dockerfile() {
	cat >Dockerfile
}

# ok COMMAND...: it succeeds; its output is in $T/stdout and $T/stderr.
ok() {
	local status=0
	"$@" >"$T/stdout" 2>"$T/stderr" || status=$?
	[ "$status" = 0 ] || {
		echo "status $status of: $*"
		cat "$T/stdout" "$T/stderr"
		return 1
	}
}

# fails STATUS COMMAND...: it ends with that status.
fails() {
	local want=$1 status=0
	shift
	"$@" >"$T/stdout" 2>"$T/stderr" || status=$?
	[ "$status" = "$want" ] || {
		echo "status $status, not $want, of: $*"
		cat "$T/stdout" "$T/stderr"
		return 1
	}
	[ "$status" = 0 ] || grep -q '^hod: ' "$T/stderr" || {
		echo "no message:"
		cat "$T/stderr"
		return 1
	}
}

# said TEXT...: each stands in the standard error of the last command.
said() {
	local text
	for text; do
		grep -qF -- "$text" "$T/stderr" || {
			echo "not said: $text"
			cat "$T/stderr"
			return 1
		}
	done
}

unsaid() {
	! grep -F -- "$1" "$T/stderr"
}

# same WHAT HAVE WANT
same() {
	[ "$2" = "$3" ] || {
		printf '%s:\n  is   %s\n  want %s\n' "$1" "$2" "$3"
		return 1
	}
}

# build OPTIONS...: the context, as layout $T/out, tag x.
build() {
	ok hod build --progress plain --build-context base="oci-layout://$BASE" -o "oci:$T/out:x" "$@" .
}

# build_fails STATUS OPTIONS...
build_fails() {
	local want=$1
	shift
	fails "$want" hod build --progress plain --build-context base="oci-layout://$BASE" -t never:1 -o "oci:$T/out:x" "$@" .
}

image() {
	local verb=$1
	shift
	"$TESTDATA/checkimage.py" "$verb" "$T/out:x" "$@"
}

# layer_is I: layer I (-1: the last) of the image has exactly the entries on stdin.
layer_is() {
	diff -u --label expected --label layer - <(image layer "$1")
}

# tree_is PATH...: so for the files at and below the paths, all layers together.
tree_is() {
	diff -u --label expected --label tree - <(image tree "$@")
}

# config FILTER: of the image's configuration, compact.
config() {
	image config | jq -c "$1"
}

# The number of layers that are hod's.
new_layers() {
	echo $(($(image manifest | jq '.layers | length') - ${1:-6}))
}

digest() {
	image digest
}

# A failed build leaves neither temporary files nor images, and a root that works.  The base's
# manifest and config may stay, under the base's name.
nothing_left() {
	local left
	if [ -d "$HOD_ROOT" ]; then
		left=$(find "$HOD_ROOT/tmp" -mindepth 1 2>/dev/null) || true
		same "files in tmp" "$left" ""
		same "images" "$("$HOD" images 2>/dev/null | tail -n +2 | grep -v 'lambda/python ')" ""
		[ ! -e "$HOD_ROOT/index.json" ] || jq -e . "$HOD_ROOT/index.json" >/dev/null
		blobs_whole "$HOD_ROOT"
	fi
	if [ -e "$T/out" ]; then
		same "the output" "$(jq -c '.manifests // []' "$T/out/index.json" 2>/dev/null)" "[]"
		blobs_whole "$T/out"
	fi
}

# Every blob of a layout hashes to its name.
blobs_whole() {
	local blob
	for blob in "$1"/blobs/sha256/*; do
		[ -e "$blob" ] || continue
		same "blob $blob" "$(sha256sum <"$blob" | cut -d' ' -f1)" "$(basename "$blob")"
	done
}

# as_user COMMAND...: as nobody when we are root, with a root and home of its own in $T/user.
as_user() {
	if [ "$(id -u)" = 0 ]; then
		mkdir -p "$T/user"
		chown 65534:65534 "$T/user"
		setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$T/user" HOD_ROOT="$T/user/root" "$@"
	else
		HOME=$T/user HOD_ROOT=$T/user/root "$@"
	fi
}

# opened FOLDER...: others may pass through the folders above, as far as they are ours.
opened() {
	local dir
	for dir; do
		while [ "$dir" != / ] && [ -O "$dir" ]; do
			chmod a+x "$dir"
			dir=$(dirname "$dir")
		done
	done
}

# A registry that misbehaves: double OPTIONS... sets $DOUBLE (host:port) and $DOUBLE_STORAGE.
double() {
	local ports
	coproc DOUBLE_PROCESS { exec "$TESTDATA/double.py" --log "$T/double.log" "$@" 3>&- 4>&-; }
	read -r -t 20 ports <&"${DOUBLE_PROCESS[0]}" || return
	DOUBLE=127.0.0.1:${ports% *}
	DOUBLE_STORAGE=${ports#* }
}

double_stop() {
	[ -z "${DOUBLE_PROCESS_PID-}" ] || {
		kill "$DOUBLE_PROCESS_PID" 2>/dev/null || true
		wait "$DOUBLE_PROCESS_PID" 2>/dev/null || true
	}
}

faults() {
	curl -sS -k --noproxy '*' -X PUT -d "$1" "${2:-http}://$DOUBLE/_/faults"
}

# peak COMMAND...: runs it; its peak memory in KiB goes to $T/peak.
peak() {
	/usr/bin/python3 -c '
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as f:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=f)
sys.exit(status)' "$T/peak" "$@"
}
