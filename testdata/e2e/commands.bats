#!/usr/bin/env bats
# The commands around build: names, ids, what is printed where.

load common

setup_file() {
	common_setup_file
}

@test "version, help, and an unknown command or flag" {
	ok hod version
	grep -qF "$(sed -n 's/^VERSION := //p' "$TOP/Makefile")" "$T/stdout"
	ok hod --version
	ok hod --help
	grep -q build "$T/stdout"
	ok hod build --help
	grep -q -- --build-arg "$T/stdout"
	fails 2 hod biuld .
	said "biuld" "did you mean build?"
	fails 2 hod build --build-argh A=1 .
	said "--build-argh" "did you mean --build-arg?"
	fails 2 hod build
	fails 2 hod build . .
	ok hod
	fails 2 hod build --secret id=x .
	said "--secret"
	fails 2 hod build --compression-level 10 .
	fails 2 hod build --progress nice .
	fails 2 hod build --timestamp yesterday .
	fails 2 hod build -o tar:x .
	fails 2 hod build -t x/Upper .
	said "lower case"
	fails 2 hod build --platform amiga .
	fails 2 hod build --label novalue= --build-context x=http://y .
	[ ! -s "$T/stdout" ]
	fails 1 sh -c '"$1" version >/dev/full' sh "$HOD"
}

@test "what build cannot do yet is refused by name before anything is done" {
	printf 'FROM base\nENV A=1\n' >Dockerfile
	while IFS='|' read -r words said; do
		# shellcheck disable=SC2086  # words to split
		fails 2 hod build $words </dev/null
		said "$said"
		[ ! -e "$HOD_ROOT/index.json" ] || same "images" "$(hod images -q | wc -l)" 0
	done <<-'END'
		-|standard input
		-f - .|standard input
		https://nowhere.invalid/x.git|URL
		--platform linux/amd64,linux/arm64 .|several platforms
		-o type=tar,dest=x .|type=tar
		-o docker-archive:x .|docker-archive
		--build-context base=/tmp .|oci-layout
		--build-context base=docker-image://x .|oci-layout
		--push .|-t
		--annotation x .|annotation
		--iidfile /nonexistent/x .|/nonexistent/x
		--secret id=x .|--secret
		--ulimit nofile=1 .|--ulimit nofile=1
		--allow security.insecure .|--allow security.insecure
		--cache-to x .|--cache-to
		--format docker .|--format
	END
}

@test "-o: the tag, several outputs, and a layout that keeps its other images" {
	put f x
	printf 'FROM scratch\nCOPY f /f\n' >Dockerfile
	ok hod build -o "oci:$T/out" -o "oci:$T/out:two" -o "oci:$T/more:x" .
	same "tags" "$(jq -r '.manifests[].annotations."org.opencontainers.image.ref.name"' "$T/out/index.json" | sort | tr '\n' ' ')" "latest two "
	blobs_whole "$T/more"
	put f y
	ok hod build -o "oci:$T/out:two" .
	"$TESTDATA/checkimage.py" tree "$T/out:two" f | grep -F '"y"'
	"$TESTDATA/checkimage.py" tree "$T/out:latest" f | grep -F '"x"'
	same "images" "$(jq '.manifests|length' "$T/out/index.json")" 2
	skopeo inspect "oci:$T/out:two" >/dev/null
}

@test "tag, images, inspect: names and ids" {
	local id
	put f x
	printf 'FROM base\nCOPY f /f\nLABEL a=b\nEXPOSE 80\n' >Dockerfile
	build -t one:1 -t registry.example:5000/two
	id=$(hod images -q one:1)
	ok hod images
	grep -qE '^one +1 ' "$T/stdout"
	grep -qE '^registry.example:5000/two +latest ' "$T/stdout"
	ok hod tag one:1 three:x
	ok hod inspect three:x
	same "id" "$(jq -r '.[0].Id' "$T/stdout" | cut -c8-19)" "$(echo "$id" | sed 's/^sha256://' | cut -c1-12)"
	same "tags" "$(jq -c '.[0].RepoTags|sort' "$T/stdout")" '["one:1","registry.example:5000/two:latest","three:x"]'
	same "label" "$(jq -r '.[0].Config.Labels.a' "$T/stdout")" b
	same "layers" "$(jq '.[0].RootFS.Layers|length' "$T/stdout")" 7
	ok hod inspect -f '{{.Config.Labels.a}} {{.Os}}' "$id"
	same "format" "$(cat "$T/stdout")" "b linux"
	ok hod inspect --format json one:1
	jq -e . "$T/stdout" >/dev/null
	ok hod inspect "$(echo "$id" | sed 's/^sha256://' | cut -c1-8)"
	fails 2 hod inspect -f '{{range .X}}{{end}}' one:1
	fails 1 hod inspect nothing:1
	said "nothing:1"
	fails 4 hod tag nothing:1 x:1
	fails 2 hod tag one:1 UPPER
}

@test "stdout has results alone: -q, --iidfile, quiet progress" {
	printf 'FROM base\nENV A=1\n' >Dockerfile
	ok hod build -q --build-context base="oci-layout://$BASE" --iidfile "$T/iid" .
	grep -qE '^sha256:[0-9a-f]{64}$' "$T/stdout"
	same "lines" "$(wc -l <"$T/stdout")" 1
	[ ! -s "$T/stderr" ]
	same "iid" "$(cat "$T/iid")" "$(cat "$T/stdout")"
	same "no line end, as docker" "$(wc -l <"$T/iid")" 0
	ok hod build --progress quiet --build-context base="oci-layout://$BASE" .
	[ ! -s "$T/stderr" ]
	ok hod build --progress json --build-context base="oci-layout://$BASE" .
	jq -e . "$T/stderr" >/dev/null
	build_id=$(sha256sum <"$HOD_ROOT/blobs/sha256/$(cut -c8- "$T/iid")" | cut -d' ' -f1)
	same "the config's digest" "sha256:$build_id" "$(cat "$T/iid")"
}

@test "the environment and global options before and after the command" {
	printf 'FROM base\nENV A=1\n' >Dockerfile
	unset HOD_ROOT
	DOCKER_DEFAULT_PLATFORM=linux/arm64 build --root "$T/after"
	same "platform" "$(config .architecture)" '"arm64"'
	ok hod --root "$T/before" --debug build --build-context base="oci-layout://$BASE" -t x:1 .
	ok hod images -q --root="$T/before"
	same "images" "$(wc -l <"$T/stdout")" 1
	XDG_DATA_HOME=$T/data ok hod build --build-context base="oci-layout://$BASE" -t x:1 .
	[ -e "$T/data/hod/oci-layout" ]
	ok hod build --build-context base="oci-layout://$BASE" -t x:1 .
	[ -e "$HOME/.local/share/hod/oci-layout" ]
	BUILDKIT_PROGRESS=quiet ok hod build --build-context base="oci-layout://$BASE" .
	[ ! -s "$T/stderr" ]
	BUILDKIT_PROGRESS=quiet ok hod build --progress plain --build-context base="oci-layout://$BASE" .
	[ -s "$T/stderr" ]
	if hod --log-format json build nowhere 2>"$T/stderr"; then return 1; fi
	jq -e 'select(.level == "error") | .hint' "$T/stderr" >/dev/null
}

@test "plain progress says CACHED, or what changed" {
	put f one
	put g one
	printf 'FROM base\nARG V\nCOPY f /f\nCOPY g /$V\n' >Dockerfile
	build --build-arg V=a
	unsaid CACHED
	build --build-arg V=a
	same "cached" "$(grep -c CACHED "$T/stderr")" 2
	put g two
	build --build-arg V=a
	same "cached" "$(grep -c CACHED "$T/stderr")" 1
	said "g"
	build --build-arg V=b
	same "cached" "$(grep -c CACHED "$T/stderr")" 1
	build --build-arg V=b --no-cache
	unsaid CACHED
	touch -d 2001-01-01 f g
	build --build-arg V=b
	same "cached after touch" "$(grep -c CACHED "$T/stderr")" 2
}

@test "two builds and a tag at once share a root" {
	local i pids=()
	put f x
	printf 'FROM base\nCOPY f /f\n' >Dockerfile
	for i in 1 2 3 4 5 6; do
		"$HOD" build -q --build-context base="oci-layout://$BASE" -t "app:$i" . >"$T/id$i" 2>"$T/err$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || { cat "$T"/err*; return 1; }
	done
	same "ids" "$(cat "$T"/id* | sort -u | wc -l)" 1
	same "images" "$(hod images | grep -c '^app ')" 6
	blobs_whole "$HOD_ROOT"
	same "tmp" "$(find "$HOD_ROOT/tmp" -mindepth 1 -type f | wc -l)" 0
}

@test "a root of a later format is refused with a hint" {
	local file
	printf 'FROM base\nENV A=1\n' >Dockerfile
	build
	file=$(grep -rlE '^[0-9]+$' "$HOD_ROOT" --include='*format*' | head -n 1)
	[ -n "$file" ]
	echo 99 >"$file"
	fails 2 hod images
	said "99" "hint"
}
