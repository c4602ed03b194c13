#!/usr/bin/env bats
# Bad input and bad registries: cause, place, hint, exit status, and nothing left behind.

load common

setup_file() {
	common_setup_file
}

teardown() {
	double_stop
}

@test "a missing Dockerfile is 2, with a hint" {
	fails 2 hod build .
	said "Dockerfile" "hint:"
	fails 2 hod build -f elsewhere/File .
	said "elsewhere/File"
	nothing_left
}

@test "a missing context is 2" {
	fails 2 hod build ../nowhere
	said "nowhere"
	printf 'FROM scratch\n' >Dockerfile
	fails 2 hod build Dockerfile
	said "a file as context"
	nothing_left
}

@test "an empty Dockerfile, a directory as Dockerfile, bytes that are no text" {
	: >Dockerfile
	build_fails 2
	rm Dockerfile
	mkdir Dockerfile
	fails 2 hod build .
	said "is a folder"
	rmdir Dockerfile
	head -c 100000 /dev/zero >Dockerfile
	build_fails 2
	nothing_left
}

@test "an unknown instruction is 2, with its line and the nearest one" {
	printf 'FROM base\n\nCPOY a b\n' >Dockerfile
	build_fails 2
	said "Dockerfile:3" "CPOY" "3 | CPOY a b" "hint:" "COPY"
	nothing_left
}

@test "a missing COPY source is 2, with its line and the nearest name" {
	put requirements.txt x
	printf 'FROM base\nENV A=1\n# comment\nCOPY requirments.txt .\n' >Dockerfile
	build_fails 2
	said "Dockerfile:4" "requirments.txt" "not found" "4 | COPY requirments.txt ." "did you mean requirements.txt?"
	printf 'FROM base\nCOPY a/b/c requirements.txt x/\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "a/b/c"
	printf 'FROM base\nCOPY --from=base /etc/notes /\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "/etc/note"
	nothing_left
}

@test "a source outside of the context is 2, by .. and by a link" {
	echo secret >../secret
	ln -s ../secret link
	ln -s /etc absolute
	while read -r source; do
		printf 'FROM base\nCOPY %s /x\n' "$source" >Dockerfile
		build_fails 2
		said "Dockerfile:2"
	done <<-'END'
		../secret
		/../../secret
		link
		absolute/hostname
		absolute
	END
	nothing_left
}

@test "a source that cannot be read is 3 and named" {
	put f x
	chmod 000 f
	printf 'FROM scratch\nCOPY f /x\n' >Dockerfile
	opened "$T/context"
	fails 3 as_user "$HOD" build .
	said "Dockerfile:2" "f"
}

@test "a registry that is down is 5, and a name without one too" {
	printf 'FROM 127.0.0.1:1/base:1\nENV A=1\n' >Dockerfile
	fails 5 hod build -t never:1 .
	said "Dockerfile:1" "127.0.0.1:1"
	printf 'FROM nowhere.invalid/base:1\nENV A=1\n' >Dockerfile
	fails 5 hod build -t never:1 .
	said "Dockerfile:1" "nowhere.invalid"
	nothing_left
}

# from_double STATUS WORD...: builds a layer on the double's image; it fails, and nothing is left.
from_double() {
	local status=$1
	shift
	put f x
	printf 'FROM %s/lambda/python:3.8\nCOPY --chown=app f /f\n' "$DOUBLE" >Dockerfile
	fails "$status" timeout 60 "$HOD" build -t never:1 .
	said "$@"
	nothing_left
}

@test "401, 403, 404: status, place and what to do" {
	double --layout "$BASE" --name lambda/python
	faults '[{"match":"/manifests/","status":401,"headers":{"WWW-Authenticate":"Basic realm=\"x\""}}]'
	from_double 3 Dockerfile:1 "$DOUBLE" hint: login
	faults '[{"match":"/manifests/","status":403,"body":"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"not for you\"}]}"}]'
	from_double 3 Dockerfile:1 403 "not for you"
	faults '[{"match":"/blobs/","status":403}]'
	from_double 3 Dockerfile:1 403
	faults '[{"match":"/manifests/","status":404,"body":"{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}"}]'
	from_double 4 Dockerfile:1 lambda/python:3.8
	faults '[{"match":"GET .*/blobs/","status":404}]'
	from_double 4 404
	faults '[]'
	ok hod build -t at-last:1 .
}

@test "a Bearer challenge is refused by name" {
	double --layout "$BASE" --name lambda/python --bearer
	from_double 3 Dockerfile:1 Bearer
}

@test "429 and 503 are tried again; if they stay, the status is 5" {
	double --layout "$BASE" --name lambda/python
	put f x
	printf 'FROM %s/lambda/python:3.8\nCOPY --chown=app f /f\n' "$DOUBLE" >Dockerfile
	faults '[{"match":"/manifests/","status":429,"times":1,"headers":{"Retry-After":"1"}},{"match":"GET .*/blobs/","status":503,"times":1}]'
	ok timeout 60 "$HOD" build -t some:1 .
	rm -rf "$HOD_ROOT"
	faults '[{"match":"/manifests/","status":429}]'
	from_double 5 Dockerfile:1 429
}

@test "a connection that is closed or reset is tried again, a body that is cut is resumed" {
	double --layout "$BASE" --name lambda/python
	put f x
	printf 'FROM %s/lambda/python:3.8\nCOPY --chown=app f /f\n' "$DOUBLE" >Dockerfile
	faults '[{"match":"/manifests/","close":true,"times":1},{"match":"GET .*/blobs/","cut":100,"times":2},{"match":"GET .*/blobs/","close":"reset","times":1}]'
	ok timeout 60 "$HOD" build -q .
	id=$(cat "$T/stdout")
	HOD_ROOT=$T/root2 ok hod build -q .
	same "image" "$(cat "$T/stdout")" "$id"
	blobs_whole "$HOD_ROOT"
}

@test "wrong digest, wrong size, truncated blob are 6" {
	double --layout "$BASE" --name lambda/python
	faults '[{"match":"GET .*/blobs/","corrupt":true}]'
	from_double 6 sha256:
	faults '[{"match":"GET .*/manifests/","corrupt":true}]'
	from_double 6 Dockerfile:1
	faults '[{"match":"GET .*/blobs/","truncate":200}]'
	from_double 6 sha256:
	faults '[{"match":"GET .*/manifests/","header":{"Docker-Content-Digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}}]'
	from_double 6 Dockerfile:1
	faults '[{"match":"GET .*/blobs/","cut":200}]'
	from_double 5
	faults '[]'
	ok hod build -t at-last:1 .
	blobs_whole "$HOD_ROOT"
}

@test "a manifest asked for by digest is checked though the registry tells none" {
	local digest
	digest=$("$TESTDATA/checkimage.py" digest "$BASE:3.8")
	double --layout "$BASE" --name lambda/python --no-digest
	# the same manifest, with a blank more
	jq -Rs '[{"match":"GET .*/manifests/","status":200,"body":(. + " "),"headers":{"Content-Type":(fromjson|.mediaType)}}]' \
		<"$BASE/blobs/sha256/${digest#sha256:}" >"$T/fault"
	faults "@$T/fault"
	fails 6 hod pull "$DOUBLE/lambda/python@$digest"
	said "$DOUBLE/lambda/python"
	faults '[]'
	ok hod pull "$DOUBLE/lambda/python@$digest"
}

@test "manifests that are none" {
	double --layout "$BASE" --name lambda/python
	faults '[{"match":"GET .*/manifests/3.8","status":200,"body":"<html>login</html>","headers":{"Content-Type":"text/html"}}]'
	from_double 6 Dockerfile:1
	faults '[{"match":"GET .*/manifests/3.8","status":200,"body":"{\"schemaVersion\":1,\"name\":\"x\",\"fsLayers\":[]}","headers":{"Content-Type":"application/vnd.docker.distribution.manifest.v1+json"}}]'
	fails 2 timeout 60 "$HOD" build -t never:1 .
	faults '[{"match":"GET .*/manifests/3.8","status":200,"body":"[[[[[[[[[[[[[[[[","headers":{"Content-Type":"application/vnd.oci.image.manifest.v1+json"}}]'
	from_double 6 Dockerfile:1
	nothing_left
}

@test "redirects: followed without credentials, not forever, not to plain http" {
	double --layout "$BASE" --name lambda/python --auth AWS:secret --redirect
	mkdir -p "$DOCKER_CONFIG"
	printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$DOUBLE" "$(printf AWS:secret | base64)" >"$DOCKER_CONFIG/config.json"
	put f x
	printf 'FROM %s/lambda/python:3.8\nCOPY --chown=app f /f\n' "$DOUBLE" >Dockerfile
	ok timeout 60 "$HOD" build -t some:1 .
	grep -q '"port": *"storage"' "$T/double.log"
	same "credentials at the storage" "$(jq -c 'select(.port == "storage") | .headers | has("authorization")' "$T/double.log" | sort -u)" false
	rm -rf "$HOD_ROOT"
	faults "[{\"match\":\"GET .*/blobs/\",\"status\":307,\"headers\":{\"Location\":\"http://$DOUBLE/v2/lambda/python/blobs/sha256:0\"}}]"
	fails 1 timeout 60 "$HOD" build -t never:1 .
	said redirect
}

@test "a redirect from https to http is not followed" {
	registry_certs "$T/certs"
	double --layout "$BASE" --name lambda/python --tls "$T/certs/server.crt" "$T/certs/server.key"
	put f x
	printf 'FROM %s/lambda/python:3.8\nCOPY --chown=app f /f\n' "$DOUBLE" >Dockerfile
	faults "[{\"match\":\"GET .*/blobs/\",\"status\":307,\"headers\":{\"Location\":\"http://127.0.0.1:$DOUBLE_STORAGE/x\"}}]" https
	fails 1 timeout 60 "$HOD" build --ca-file "$T/certs/ca.crt" -t never:1 .
	said redirect
	nothing_left
	faults '[]' https
	ok hod build --ca-file "$T/certs/ca.crt" -t some:1 .
}

# to_double STATUS WORD...: the push of an image fails.
to_double() {
	local status=$1
	shift
	fails "$status" timeout 60 "$HOD" push "$DOUBLE/app/x:1"
	said "$DOUBLE/app/x" "$@"
	same "files in tmp" "$(find "$HOD_ROOT/tmp" -mindepth 1 2>/dev/null)" ""
}

@test "pushes: refused, faulty, and uploads of every kind" {
	local kind
	double --store "$T/store" --auth u:p
	put f x
	printf 'FROM base\nCOPY f /f\n' >Dockerfile
	ok hod build --build-context base="oci-layout://$BASE" -t "$DOUBLE/app/x:1" .
	to_double 3 login
	mkdir -p "$DOCKER_CONFIG"
	printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$DOUBLE" "$(printf u:wrong | base64)" >"$DOCKER_CONFIG/config.json"
	to_double 3
	printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$DOUBLE" "$(printf u:p | base64)" >"$DOCKER_CONFIG/config.json"
	faults '[{"match":"POST .*/blobs/uploads/","status":404,"body":"{\"errors\":[{\"code\":\"NAME_UNKNOWN\",\"message\":\"The repository does not exist\"}]}"}]'
	to_double 4 "The repository does not exist"
	faults '[{"match":"PUT .*/blobs/uploads/","status":403}]'
	to_double 3 403
	faults '[{"match":"PUT .*/manifests/","status":400,"body":"{\"errors\":[{\"code\":\"TAG_INVALID\",\"message\":\"the tag is immutable\"}]}"}]'
	to_double 1 "the tag is immutable"
	faults '[{"match":"PUT .*/blobs/uploads/","status":503,"times":2},{"match":"PUT .*/blobs/uploads/","close":"reset","times":1},{"match":"PUT .*/manifests/","status":500,"times":1}]'
	ok timeout 60 "$HOD" push "$DOUBLE/app/x:1"
	faults '[]'
	for kind in relative absolute query storage; do
		curl -sS --noproxy '*' -X PUT -d "{\"location\":\"$kind\"}" "http://$DOUBLE/_/options"
		ok hod tag "$DOUBLE/app/x:1" "$DOUBLE/app/$kind:1"
		ok timeout 60 "$HOD" push "$DOUBLE/app/$kind:1"
	done
	blobs_whole "$T/store/app/x"
}

@test "a pushed manifest whose digest the registry tells otherwise is 6" {
	double --store "$T/store"
	printf 'FROM base\nENV A=1\n' >Dockerfile
	ok hod build --build-context base="oci-layout://$BASE" -t "$DOUBLE/app/x:1" .
	faults '[{"match":"PUT .*/manifests/","header":{"Docker-Content-Digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}}]'
	to_double 6
}

@test "a layer whose tar is not what the config says is 6" {
	cp -r "$BASE" "$T/lying"
	/usr/bin/python3 - "$T/lying" <<-'END'
		import hashlib, json, os, sys
		out = sys.argv[1]
		blob = lambda d: out + "/blobs/sha256/" + d["digest"][7:]
		def put(data, like):
		    d = hashlib.sha256(data).hexdigest()
		    open(f"{out}/blobs/sha256/{d}", "wb").write(data)
		    return {**like, "digest": "sha256:" + d, "size": len(data)}
		index = json.load(open(out + "/index.json"))
		images = json.load(open(blob(index["manifests"][0])))
		m = json.load(open(blob(images["manifests"][0])))
		c = json.load(open(blob(m["config"])))
		c["rootfs"]["diff_ids"][2] = "sha256:" + "12" * 32
		m["config"] = put(json.dumps(c).encode(), m["config"])
		images["manifests"][0] = put(json.dumps(m).encode(), images["manifests"][0])
		index["manifests"][0] = put(json.dumps(images).encode(), index["manifests"][0])
		json.dump(index, open(out + "/index.json", "w"))
	END
	put f x
	printf 'FROM base\nCOPY --chown=app f /f\n' >Dockerfile
	fails 6 hod build --build-context base="oci-layout://$T/lying" -t never:1 .
	said Dockerfile:
	nothing_left
}

@test "hostile paths in a base's layer are refused" {
	local kind
	put f x
	printf 'FROM base\nCOPY --chown=app f /f\n' >Dockerfile
	for kind in dotdot dotlink hardlink; do
		/usr/bin/python3 - "$T/$kind" "$kind" <<-'END'
			import gzip, hashlib, io, json, os, sys, tarfile
			out, kind = sys.argv[1:]
			raw = io.BytesIO()
			with tarfile.open(fileobj=raw, mode="w") as tar:
			    t = tarfile.TarInfo({"dotdot": "a/../../escape", "dotlink": ".", "hardlink": "h"}[kind])
			    if kind == "dotlink":
			        t.type, t.linkname = tarfile.SYMTYPE, "/etc"
			    if kind == "hardlink":
			        t.type, t.linkname = tarfile.LNKTYPE, "../../../../etc/passwd"
			    tar.addfile(t)
			os.makedirs(out + "/blobs/sha256")
			def put(data, kind):
			    d = hashlib.sha256(data).hexdigest()
			    open(f"{out}/blobs/sha256/{d}", "wb").write(data)
			    return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + d, "size": len(data)}
			layer = put(gzip.compress(raw.getvalue()), "layer.v1.tar+gzip")
			config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw.getvalue()).hexdigest()]}}).encode(), "config.v1+json")
			m = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}).encode(), "manifest.v1+json")
			json.dump({"schemaVersion": 2, "manifests": [m]}, open(out + "/index.json", "w"))
			json.dump({"imageLayoutVersion": "1.0.0"}, open(out + "/oci-layout", "w"))
		END
		fails 6 hod build --build-context base="oci-layout://$T/$kind" -t never:1 .
		said Dockerfile: layer
		nothing_left
	done
}

# on_small_disk MEGABYTES COMMAND...: $T/small is a tmpfs of that size while it runs.
on_small_disk() {
	local size=$1
	shift
	mkdir -p "$T/small"
	if [ "$(id -u)" = 0 ]; then
		unshare -m sh -c 'mount -t tmpfs -o size="$1"m tmpfs "$2" && shift 2 && "$@"' sh "$size" "$T/small" "$@"
	else
		unshare -rm sh -c 'mount -t tmpfs -o size="$1"m tmpfs "$2" && shift 2 && "$@"' sh "$size" "$T/small" "$@"
	fi
}

@test "a disk that fills up while a layer is written is 1, named, and leaves nothing" {
	on_small_disk 1 true || skip "cannot mount a tmpfs"
	head -c 8000000 /dev/urandom >big
	printf 'FROM scratch\nCOPY big /big\n' >Dockerfile
	cat >"$T/script" <<-'END'
		"$HOD" build -t never:1 . >"$T/stdout" 2>"$T/stderr"
		echo $? >"$T/status"
		find "$HOD_ROOT/tmp" -mindepth 1 >"$T/left"
		"$HOD" images -q >>"$T/left"
		find "$HOD_ROOT/blobs" -type f -size +100k >>"$T/left"
		rm big
		echo small >big
		"$HOD" build -q -t after:1 . >"$T/after" 2>&1
	END
	export HOD T
	HOD_ROOT=$T/small/root on_small_disk 4 sh "$T/script"
	same "status" "$(cat "$T/status")" 1
	said "Dockerfile:2" "No space left on device"
	same "left" "$(cat "$T/left")" ""
	grep -q '^sha256:' "$T/after"
}
