#!/usr/bin/env bats
# What others can write is not believed: roots, contexts, bases, damaged caches.

load common

setup_file() {
	common_setup_file
}

@test "-o into a folder with a tmp and locks of its own removes nothing of it" {
	mkdir -p "$T/out/tmp/yarn" "$T/out/precious"
	touch "$T/out/tmp/...lock" "$T/out/tmp/yarn.lock" "$T/out/tmp/yarn/f" "$T/out/precious/f"
	dockerfile <<<'FROM scratch'
	fails 0 hod build -o "oci:$T/out:x" . || true
	[ -e "$T/out/precious/f" ] && [ -e "$T/out/tmp/yarn/f" ] && [ -e "$T/out/tmp/yarn.lock" ]
}

@test "a root that everybody may write is refused" {
	dockerfile <<<'FROM scratch'
	mkdir -m 0777 "$HOD_ROOT"
	chmod 0777 "$HOD_ROOT"
	fails 3 hod build .
	said "everybody may write there" "hint:"
}

@test "a root of another user is refused, but not to root" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	dockerfile <<<'FROM scratch'
	ok hod build .
	chown -R 1234 "$HOD_ROOT"
	ok hod build .
	chmod 0755 "$HOD_ROOT"
	opened "$T/context"
	fails 3 as_user "$HOD" build --root "$HOD_ROOT" .
	said "another user (1234)"
}

@test "a Dockerfile that is a link out of the context is not read" {
	put "$T/secret" "password=hunter2"
	ln -s "$T/secret" Dockerfile
	fails 2 hod build .
	unsaid hunter2
}

@test "a .dockerignore that is a link out of the context is not read" {
	put "$T/secret" "[hunter2"
	ln -s "$T/secret" .dockerignore
	dockerfile <<<'FROM scratch'
	hod build . >"$T/stdout" 2>"$T/stderr" || true
	unsaid hunter2
}

# liar LAYOUT: a layout whose one layer claims to have the diff_id of BASE's first one.
liar() {
	/usr/bin/python3 - "$BASE" "$1" <<-'END'
		import gzip, hashlib, io, json, os, sys, tarfile
		base, out = sys.argv[1:]
		blob = lambda d: json.load(open(f"{base}/blobs/sha256/{d[7:]}"))
		index = blob(json.load(open(base + "/index.json"))["manifests"][0]["digest"])
		manifest = blob(index["manifests"][0]["digest"]) if "manifests" in index else index
		config = blob(manifest["config"]["digest"])
		os.makedirs(out + "/blobs/sha256")
		def put(data):
		    digest = hashlib.sha256(data).hexdigest()
		    open(f"{out}/blobs/sha256/{digest}", "wb").write(data)
		    return {"digest": "sha256:" + digest, "size": len(data)}
		tar = io.BytesIO()
		with tarfile.open(fileobj=tar, mode="w") as t:
		    t.addfile(tarfile.TarInfo("evil"))
		layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **put(gzip.compress(tar.getvalue()))}
		config = {"architecture": config["architecture"], "os": "linux",
		          "rootfs": {"type": "layers", "diff_ids": config["rootfs"]["diff_ids"][:1]}}
		config = {"mediaType": "application/vnd.oci.image.config.v1+json", **put(json.dumps(config).encode())}
		kind = "application/vnd.oci.image.manifest.v1+json"
		manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}
		manifest = {"mediaType": kind, **put(json.dumps(manifest).encode())}
		json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(out + "/index.json", "w"))
		json.dump({"imageLayoutVersion": "1.0.0"}, open(out + "/oci-layout", "w"))
	END
}

@test "a base that lies about a diff_id is refused, also when an honest layer has it" {
	put a a
	liar "$T/liar"
	dockerfile <<-'END'
		FROM base
		COPY a /a
	END
	build
	dockerfile <<-'END'
		FROM liar
		COPY a /a
	END
	fails 6 hod build --build-context liar="oci-layout://$T/liar" .
}

@test "a damaged layer of the cache is made again" {
	put a one
	dockerfile <<-'END'
		FROM scratch
		COPY a /a
	END
	build
	first=$(digest)
	blob=$(image manifest | jq -r '.layers[0].digest[7:]')
	# one byte in the middle, the size stays
	printf '\377' | dd of="$HOD_ROOT/blobs/sha256/$blob" bs=1 seek=40 conv=notrunc status=none
	rm -rf "$T/out"
	build
	same digest "$(digest)" "$first"
	# and when its index is gone as well, while a later step needs the tree
	printf '\377' | dd of="$HOD_ROOT/blobs/sha256/$blob" bs=1 seek=41 conv=notrunc status=none
	rm -rf "$HOD_ROOT/trees" "$T/out"
	echo 'COPY a /b' >>Dockerfile
	build
}
