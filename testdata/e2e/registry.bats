#!/usr/bin/env bats
# From a Dockerfile to a registry, and what other people's tools make of the result.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, on purpose

load common

setup_file() {
	common_setup_file registry
	export PRIVATE=$BATS_FILE_TMPDIR/private CERTS=$BATS_FILE_TMPDIR/certs
	registry_certs "$CERTS"
	registry_start "$PRIVATE" --tls "$CERTS" --user AWS:secret
	export PRIVATE_HOST=127.0.0.1:$REGISTRY_PORT
}

teardown_file() {
	common_teardown_file
	registry_stop "$PRIVATE"
}

function_files() {
	put test.py 'def lambda_handler(event, context): return 1
'
	put requirements.txt '# none
'
	chmod 600 requirements.txt
	cat >Dockerfile <<-END
		FROM $HOST/lambda/python:3.8
		COPY test.py \${LAMBDA_TASK_ROOT}
		COPY --chown=app --chmod=0640 requirements.txt  .
		WORKDIR /srv/work
		USER app
		CMD [ "test.lambda_handler" ]
	END
}

@test "build, push, skopeo inspect and copy: the same digest everywhere" {
	local digest
	function_files
	ok hod build -t "$HOST/out/app:1" -t "$HOST/out/second:2" --push --iidfile "$T/iid" --metadata-file "$T/m.json" .
	digest=$(jq -r '."containerimage.digest"' "$T/m.json")
	same "what push prints" "$(cat "$T/stdout")" "$HOST/out/app:1@$digest
$HOST/out/second:2@$digest"
	same "config digest" "$(jq -r '."containerimage.config.digest"' "$T/m.json")" "$(cat "$T/iid")"
	same "registry" "sha256:$(registry_skopeo "$REG" inspect --raw @/out/app:1 | sha256sum | cut -d' ' -f1)" "$digest"
	same "second name" "sha256:$(registry_skopeo "$REG" inspect --raw @/out/second:2 | sha256sum | cut -d' ' -f1)" "$digest"
	same "skopeo's digest" "$(registry_skopeo "$REG" inspect @/out/app:1 | jq -r .Digest)" "$digest"
	same "descriptor" "$(jq -r '."containerimage.descriptor".digest' "$T/m.json")" "$digest"
	registry_skopeo "$REG" copy -q @/out/app:1 "oci:$T/out:x"
	tree_is var/task srv/work <<-'END'
		dir 0755 0:0 srv/work/
		dir 0755 0:0 var/task/
		file 0640 1000:1001 var/task/requirements.txt "# none\n"
		file 0644 0:0 var/task/test.py "def lambda_handler(event, context): return 1\n"
	END
	registry_skopeo "$REG" copy -q @/out/app:1 "docker-archive:$T/a.tar:app:1"
	# the store is an OCI layout; by name skopeo finds only OCI's types in it
	printf 'FROM scratch\nCOPY test.py /\n' >Dockerfile
	ok hod build -t "$HOST/out/scratch:1" --metadata-file "$T/m.json" .
	ok skopeo inspect --raw "oci:$HOD_ROOT:$HOST/out/scratch:1"
	same "the store's manifest" "sha256:$(sha256sum <"$T/stdout" | cut -d' ' -f1)" "$(jq -r '."containerimage.digest"' "$T/m.json")"
}

@test "-o oci: skopeo inspects and copies it, umoci unpacks it with the right modes and links" {
	put d/run '#!/bin/sh
'
	chmod 755 d/run
	put d/secret x
	chmod 600 d/secret
	ln -s run d/link
	ln d/secret d/twin
	printf 'FROM base\nCOPY d /new/dir\nCOPY d/run /srv/task/\n' >Dockerfile
	"$TESTDATA/mkbase" --light --format oci "$T/base-oci"
	ok hod build --build-context base="oci-layout://$T/base-oci" -o "oci:$T/out:x" .
	"$TESTDATA/checkimage.py" check "$T/out:x" --base 6
	ok skopeo inspect "oci:$T/out:x"
	ok skopeo copy -q "oci:$T/out:x" "dir:$T/dir"
	if [ "$(id -u)" = 0 ]; then
		umoci unpack --image "$T/out:x" "$T/bundle" >"$T/umoci" 2>&1 || { cat "$T/umoci"; return 1; }
	else
		umoci unpack --rootless --image "$T/out:x" "$T/bundle" >"$T/umoci" 2>&1 || { cat "$T/umoci"; return 1; }
	fi
	(cd "$T/bundle/rootfs" && find new var/task -printf '%M %p %l\n' | sort -k2 | sed 's/ $//') | diff -u - <(cat <<-'END'
		drwxr-xr-x new
		drwxr-xr-x new/dir
		lrwxrwxrwx new/dir/link run
		-rwxr-xr-x new/dir/run
		-rw------- new/dir/secret
		-rw------- new/dir/twin
		drwxr-xr-x var/task
		-rwxr-xr-x var/task/run
	END
	)
	same "one inode" "$(stat -c %i "$T/bundle/rootfs/new/dir/secret")" "$(stat -c %i "$T/bundle/rootfs/new/dir/twin")"
	same "time" "$(stat -c %Y "$T/bundle/rootfs/new/dir/run")" "$BASE_TIME"
	if [ "$(id -u)" = 0 ]; then
		same "owner" "$(stat -c %u:%g "$T/bundle/rootfs/new/dir/run")" 0:0
	fi
}

@test "TLS with --ca-file and a password, under the names that HOD_CONNECT_TO redirects" {
	local name=111122223333.dkr.ecr.eu-west-1.amazonaws.com
	function_files
	export HOD_CONNECT_TO="$name:443:$PRIVATE_HOST"
	mkdir -p "$DOCKER_CONFIG"
	fails 3 hod build -t "$name/app:1" --push .
	said "$name" "certificate" "--ca-file"
	fails 3 hod build --ca-file "$CERTS/ca.crt" -t "$name/app:1" --push .
	said "$name" "login"
	printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$name" "$(printf AWS:wrong | base64)" >"$DOCKER_CONFIG/config.json"
	fails 3 hod build --ca-file "$CERTS/ca.crt" -t "$name/app:1" --push .
	printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$name" "$(printf AWS:secret | base64)" >"$T/auth.json"
	ok hod build --ca-file "$CERTS/ca.crt" --authfile "$T/auth.json" -t "$name/app:1" --push .
	mv "$T/auth.json" "$DOCKER_CONFIG/config.json"
	ok hod --ca-file "$CERTS/ca.crt" build -t "$name/app:1" --push --metadata-file "$T/m.json" .
	same "read back" "sha256:$(registry_skopeo "$PRIVATE" inspect --raw @/app:1 | sha256sum | cut -d' ' -f1)" \
		"$(jq -r '."containerimage.digest"' "$T/m.json")"
	run ! grep -r -e secret -e "$(printf AWS:secret | base64)" "$T/stdout" "$T/stderr" "$HOD_ROOT"
	ok hod build --debug --ca-file "$CERTS/ca.crt" -t "$name/app:1" --push --no-cache .
	run ! grep -e secret -e "$(printf AWS:secret | base64)" "$T/stdout" "$T/stderr"
	# pull with the same login on another root
	HOD_ROOT=$T/root2 ok hod --ca-file "$CERTS/ca.crt" pull "$name/app:1"
	same "pulled" "$(HOD_ROOT=$T/root2 hod images -q)" "$(hod images -q | head -n 1)"
}

@test "credentials: each of their places, and no one else's" {
	local auth place
	printf 'FROM scratch\nENV A=1\n' >Dockerfile
	auth=$(cat "$PRIVATE/auth.json")
	mkdir -p "$DOCKER_CONFIG" "$T/run/containers" "$HOME/.docker"
	ok hod build -t "$PRIVATE_HOST/auth/x:1" .
	for place in file docker_config auth_file text home containers; do
		rm -f "$DOCKER_CONFIG/config.json" "$HOME/.docker/config.json" "$T/run/containers/auth.json"
		unset REGISTRY_AUTH_FILE DOCKER_AUTH_CONFIG DOCKER_CONFIG XDG_RUNTIME_DIR
		fails 3 hod push --ca-file "$CERTS/ca.crt" "$PRIVATE_HOST/auth/x:1"
		args=()
		case $place in
		file)
			echo "$auth" >"$T/auth.json"
			args=(--authfile "$T/auth.json")
			;;
		docker_config)
			export DOCKER_CONFIG=$T/elsewhere
			mkdir -p "$DOCKER_CONFIG"
			echo "$auth" >"$DOCKER_CONFIG/config.json"
			;;
		auth_file) export REGISTRY_AUTH_FILE=$T/auth.json ;;
		text) export DOCKER_AUTH_CONFIG=$auth ;;
		home) echo "$auth" >"$HOME/.docker/config.json" ;;
		containers)
			export XDG_RUNTIME_DIR=$T/run
			echo "$auth" >"$T/run/containers/auth.json"
			;;
		esac
		ok hod push --ca-file "$CERTS/ca.crt" "${args[@]}" "$PRIVATE_HOST/auth/x:1"
	done
	unset XDG_RUNTIME_DIR
	printf '{"auths":{"other.example":{"auth":"%s"}}}\n' "$(printf AWS:secret | base64)" >"$T/auth.json"
	fails 3 hod push --ca-file "$CERTS/ca.crt" --authfile "$T/auth.json" "$PRIVATE_HOST/auth/x:1"
	echo '{"auths":' >"$T/auth.json"
	fails 2 hod push --ca-file "$CERTS/ca.crt" --authfile "$T/auth.json" "$PRIVATE_HOST/auth/x:1"
	said "$T/auth.json"
}

@test "plain http: loopback alone, or --plain-http; a certificate error is not a reason" {
	printf 'FROM scratch\nENV A=1\n' >Dockerfile
	export HOD_CONNECT_TO="registry.example:443:$HOST,registry.example:80:$HOST"
	fails 5 timeout 60 "$HOD" build -t registry.example/x:1 --push .
	ok hod build --plain-http -t registry.example/x:1 --push .
	# TLS with a certificate that nobody trusts, on loopback
	fails 3 hod build -t "$PRIVATE_HOST/x:1" --push .
	said certificate
	ok hod build --tls-verify=false --authfile "$PRIVATE/auth.json" -t "$PRIVATE_HOST/x:1" --push .
	# the certificate is checked for the name that was asked for
	export HOD_CONNECT_TO="registry.example:443:$PRIVATE_HOST"
	fails 3 hod build --ca-file "$CERTS/ca.crt" -t registry.example/x:1 --push .
	said registry.example
}

@test "a push sends only what is missing, and mounts from another repository" {
	function_files
	ok hod build -t "$HOST/push/one:1" --push .
	registry_mark "$REG"
	ok hod push "$HOST/push/one:1"
	same "uploads" "$(registry_lines "$REG" | grep -cE '"(POST|PATCH|PUT) [^"]*/blobs/' || true)" 0
	ok hod tag "$HOST/push/one:1" "$HOST/push/two:1"
	registry_mark "$REG"
	ok hod push "$HOST/push/two:1"
	registry_lines "$REG" | grep -qE '"POST [^"]*mount='
	same "bodies" "$(registry_lines "$REG" | grep -cE '"PUT [^"]*/blobs/uploads/' || true)" 0
}

@test "an image that was pulled is pushed elsewhere with its digest" {
	local digest
	ok hod pull "$HOST/lambda/python:3.8"
	ok hod tag "$HOST/lambda/python:3.8" "$PRIVATE_HOST/moved/python:3.8"
	ok hod push --ca-file "$CERTS/ca.crt" --authfile "$PRIVATE/auth.json" "$PRIVATE_HOST/moved/python:3.8"
	digest=$(registry_skopeo "$PRIVATE" inspect --raw @/moved/python:3.8 | sha256sum | cut -d' ' -f1)
	same "digest" "$digest" "$("$TESTDATA/checkimage.py" digest "$BASE:3.8" | cut -c8-)"
}

@test "pull: one platform of an index, by tag and digest" {
	ok hod pull --platform linux/arm64 "$HOST/lambda/python:3.8"
	ok hod inspect --format '{{.Architecture}}' "$HOST/lambda/python:3.8"
	same "architecture" "$(cat "$T/stdout")" arm64
	ok hod pull "$HOST/lambda/python@$("$TESTDATA/checkimage.py" digest "$BASE:3.8")"
	fails 4 hod pull --platform linux/s390x "$HOST/lambda/python:3.8"
	said "s390x" "amd64"
}

# bats test_tags=slow
@test "podman runs what hod built" {
	command -v podman >/dev/null || skip "no podman"
	[ "$(id -u)" = 0 ] || skip "not root: podman would need more of the host"
	"$TESTDATA/mkbase" "$TOP/build/base" # the light one has what podman does not take: a path twice in a layer
	put hello 'hello from the image'
	cat >Dockerfile <<-END
		FROM full
		COPY hello /hello
		ENV GREETING=hi
		USER 1000
		ENTRYPOINT []
		CMD ["/bin/sh", "-c", "cat /hello; echo; echo \$GREETING; id -u; pwd; python3 -c 'print(6*7)'"]
	END
	ok hod build --build-context full="oci-layout://$TOP/build/base" -t "$HOST/podman/app:1" --push .
	unset DOCKER_CONFIG # podman takes a missing file for a mistake
	ok podman --root "$T/podman" --runroot "$T/podman-run" --runtime runc --storage-driver vfs --cgroup-manager cgroupfs \
		run --rm --network none --tls-verify=false --ulimit nofile=1024:20000 --ulimit nproc=1024:4096 "$HOST/podman/app:1"
	diff "$T/stdout" - <<-'END'
		hello from the image
		hi
		1000
		/var/task
		42
	END
}
