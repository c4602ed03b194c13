#!/usr/bin/env bats
# Restart points: a file of a large layer without reading all of it.

load common

setup_file() {
	common_setup_file registry
	# a base with a layer of 24 MB: files that do not pack, small ones between them
	export MADE=$BATS_FILE_TMPDIR/made
	mkdir -p "$MADE/files"
	for i in 0 1 2 3 4 5 6 7; do
		head -c 3000000 /dev/urandom >"$MADE/files/f$i-large"
		echo "small $i" >"$MADE/files/f$i-small"
	done
	printf 'FROM scratch\nCOPY files /files/\n' >"$MADE/Dockerfile"
	HOD_ROOT=$MADE/root "$HOD" build -q -t "$HOST/large:1" --push "$MADE"
}

teardown_file() {
	common_teardown_file
}

# copied NAME: the file comes out of the base as it went in.
copied() {
	rm -rf "$T/out"
	printf 'FROM scratch\nCOPY --from=%s/large:1 /files/%s /x\n' "$HOST" "$1" >Dockerfile
	ok hod build -o "oci:$T/out:x" .
	tar -xzOf "$(image blob 0)" x | cmp - "$MADE/files/$1"
}

# The blob of the base's layer.
layer_blob() {
	echo "$HOD_ROOT"/blobs/sha256/"$(basename "$(echo "$HOD_ROOT"/trees/*.points)" .points)"
}

@test "a layer's points are noted when it is first read, and then only their part of it is" {
	copied f5-small
	[ -s "$(layer_blob)" ]
	registry_mark "$REG"
	copied f6-small
	# the first half is not read
	dd if=/dev/zero of="$(layer_blob)" bs=1M count=10 seek=1 conv=notrunc status=none
	copied f7-large
	unsaid "damaged"
	same "bytes fetched" "$(registry_sent "$REG")" 0
}

@test "a damaged stretch is fetched again" {
	local f
	copied f5-small
	for f in f3-small f3-large; do
		registry_mark "$REG"
		dd if=/dev/urandom of="$(layer_blob)" bs=1M count=4 seek=8 conv=notrunc status=none
		copied "$f"
		said "damaged"
		[ "$(registry_sent "$REG")" -gt 24000000 ]
		blobs_whole
	done
}

@test "damaged and missing points cost nothing but time" {
	local points
	copied f1-small
	points=$(echo "$HOD_ROOT"/trees/*.points)
	printf 'garbage' | dd of="$points" bs=1 seek=1000 conv=notrunc status=none
	copied f2-small
	copied f4-large
	truncate -s -3 "$points"
	copied f6-small
	rm -f "$points"
	copied f7-small
	[ -s "$points" ]
}

@test "the points of hod's own layers lead to their files" {
	cat >Dockerfile <<-END
		FROM scratch AS a
		COPY files /files/
		FROM scratch
		COPY --from=a /files/f6-large /files/f1-small /
	END
	cp -r "$MADE/files" .
	ok hod build -o "oci:$T/out:x" .
	[ -s "$(layer_blob)" ]
	tar -xzOf "$(image blob 0)" f6-large | cmp - files/f6-large
	tar -xzOf "$(image blob 0)" f1-small | cmp - files/f1-small
}

@test "what was read from a damaged blob does not stay where there are zeros" {
	local i layer
	# too small for points; the blob has zeros as stored bytes
	python3 - <<-'END'
		import io, json, hashlib, os, tarfile, zlib
		out = io.BytesIO()
		t = tarfile.open(fileobj=out, mode='w')
		for name in 'a', 'zeros', 'z':
		    ti = tarfile.TarInfo(name); ti.size = 1 << 20
		    t.addfile(ti, io.BytesIO(bytes(1 << 20)))
		t.close()
		d = zlib.compressobj(0, zlib.DEFLATED, 31)
		os.makedirs('layout/blobs/sha256')
		def put(data, type):
		    digest = hashlib.sha256(data).hexdigest()
		    open('layout/blobs/sha256/' + digest, 'wb').write(data)
		    return {'mediaType': 'application/vnd.oci.image.' + type, 'digest': 'sha256:' + digest, 'size': len(data)}
		layer = put(d.compress(out.getvalue()) + d.flush(), 'layer.v1.tar+gzip')
		config = put(json.dumps({'os': 'linux', 'architecture': 'amd64', 'rootfs': {'type': 'layers', 'diff_ids': [
		    'sha256:' + hashlib.sha256(out.getvalue()).hexdigest()]}}).encode(), 'config.v1+json')
		m = put(json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
		    'config': config, 'layers': [layer]}).encode(), 'manifest.v1+json')
		m['annotations'] = {'org.opencontainers.image.ref.name': 'x'}
		json.dump({'schemaVersion': 2, 'manifests': [m]}, open('layout/index.json', 'w'))
		json.dump({'imageLayoutVersion': '1.0.0'}, open('layout/oci-layout', 'w'))
		print(layer['digest'][7:], file=open('layer', 'w'))
	END
	registry_push "$REG" layout:x zeros:1 >/dev/null
	layer=$HOD_ROOT/blobs/sha256/$(cat layer)
	for i in a zeros; do
		printf 'FROM scratch\nCOPY --from=%s/zeros:1 %s /x\n' "$HOST" "$i" >Dockerfile
		rm -rf "$T/out"
		ok hod build -o "oci:$T/out:x" .
		tar -xzOf "$(image blob 0)" x | cmp - <(head -c 1048576 /dev/zero)
		printf 'wrong' | dd of="$layer" bs=1 seek=1500000 conv=notrunc status=none
	done
	said "damaged"
}
