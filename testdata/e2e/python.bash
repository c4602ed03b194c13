# python.bash: what tests with Python in a RUN share.  `load common` and `load python`.
#
# The full base, with OCI media types (umoci reads no others), is $FULL: Debian's python3 and pip, which
# finds the wheel `greeting` in /opt/wheels and looks nowhere else.  Dockerfiles know it as
# public.ecr.aws/lambda/python:3.8.
# shellcheck shell=bash disable=SC2034,SC2154

# For setup_file.
python_setup_file() {
	export FULL=$TOP/build/base-oci
	"$TESTDATA/mkbase" --format oci "$FULL"
}

# warm: the test uses the file's common root, in which the base lies unpacked, instead of one of its own.
warm() {
	HOD_ROOT=$BATS_FILE_TMPDIR/root
}

# For teardown: removes roots, in which a RUN may have left files of subordinate ids.
python_teardown() {
	local root
	[ "$(id -u)" != 0 ] || return 0
	for root in "$T"/*root* "${1-}"; do
		[ ! -e "$root" ] || unshare --user --map-root-user --map-auto rm -rf "$root"
	done
}

# The reference Dockerfile, word for word, and what it copies.
reference() {
	cat >Dockerfile <<-'END'
		FROM public.ecr.aws/lambda/python:3.8
		# Copy function code
		COPY test.py ${LAMBDA_TASK_ROOT}
		# Install the function's dependencies using file requirements.txt
		# from your project folder.
		COPY requirements.txt  .
		RUN  pip3 install -r requirements.txt --target "${LAMBDA_TASK_ROOT}"
		# Set the CMD to your handler (could also be done as a parameter override outside of the Dockerfile)
		CMD [ "test.hambda_handler" ]
	END
	cat >test.py <<-'END'
		import sys

		import greeting


		def lambda_handler(event, context):
		    return greeting.hello(sys.version)
	END
	echo 'greeting==1.0' >requirements.txt
}

# python_build OPTIONS...: as build, on the full base.
python_build() {
	ok hod build --progress plain --build-context "public.ecr.aws/lambda/python:3.8=oci-layout://$FULL" \
		-o "oci:$T/out:x" "$@" .
}

# The last layer's diff id, and its tar stream.
last_diff_id() {
	config '.rootfs.diff_ids[-1]'
}

last_layer() {
	gzip -dc "$(image blob -1)"
}

# The image's root filesystem as a folder, $ROOTFS.
unpacked() {
	rm -rf "$T/bundle"
	if [ "$(id -u)" = 0 ]; then
		ok umoci unpack --image "$T/out:x" "$T/bundle"
	else
		ok umoci unpack --rootless --image "$T/out:x" "$T/bundle"
	fi
	ROOTFS=$T/bundle/rootfs
}

# in_image COMMAND...: in $ROOTFS, with the image's environment and folder.
in_image() {
	local env
	mapfile -t env < <(image config | jq -r '.config.Env[]')
	unshare --user --map-root-user --root="$ROOTFS" --wd=/var/task env -i "${env[@]}" PYTHONDONTWRITEBYTECODE=1 "$@"
}

# verdicts MODULE...: what the image's Python says of their bytecode when it imports them.
verdicts() {
	local all
	all=$(IFS=, && echo "$*")
	in_image python3 -v -c "import $all" 2>&1 >/dev/null | grep -v '/usr/lib/python3' |
		sed -nE "s/^# .*\/([a-z_]+)\.cpython[^ ]* matches .*/\1 matches/p; s/^# bytecode is stale for '(.*)'/\1 is stale/p" | sort
}

# bytecode_valid FOLDER: every .pyc below that folder of $ROOTFS with a time in its header has that of its
# source, and the size; prints how many.
bytecode_valid() {
	/usr/bin/python3 - "$ROOTFS" "$1" <<-'END'
		import os, struct, sys
		root, count = sys.argv[1], 0
		for folder, _, names in os.walk(root + "/" + sys.argv[2]):
		    for name in names:
		        if not name.endswith(".pyc"):
		            continue
		        source = name[:-1] if os.path.basename(folder) != "__pycache__" else "../" + name.split(".")[0] + ".py"
		        with open(os.path.join(folder, name), "rb") as f:
		            flags, time, size = struct.unpack("<3I", f.read(16)[4:])
		        if flags:
		            continue
		        source = os.path.join(folder, source)
		        if os.path.islink(source):   # Debian's sitecustomize.py; absolute
		            source = root + os.readlink(source)
		        st = os.stat(source)
		        if (int(st.st_mtime), st.st_size) != (time, size):
		            sys.exit(f"{folder}/{name}: {time}, {size} bytes; its source {st.st_mtime}, {st.st_size}")
		        count += 1
		print(count)
	END
}

# A package index with the wheels of the base, behind TLS: its port is $INDEX_PORT, its CA is copied to
# ./ca.crt, its requests are in $T/index.log.  More wheels may lie in $T/wheels before.
index_start() {
	mkdir -p "$T/wheels"
	registry_certs "$T/certs"
	wheels_of_base "$T/wheels"
	cp "$T/certs/ca.crt" ca.crt
	: >"$T/index.log"
	coproc INDEX { exec "$TESTDATA/pypi.py" --cert "$T/certs/server.crt" --key "$T/certs/server.key" --log "$T/index.log" \
		"$T/wheels" 3>&- 4>&-; }
	read -r -t 20 INDEX_PORT <&"${INDEX[0]}"
}

index_stop() {
	[ -z "${INDEX_PID-}" ] || {
		kill "$INDEX_PID" 2>/dev/null || true
		wait "$INDEX_PID" 2>/dev/null || true
	}
}

# wheels_of_base FOLDER
wheels_of_base() {
	/usr/bin/python3 - "$FULL" "$1" <<-'END'
		import glob, io, os, sys, tarfile
		for blob in glob.glob(sys.argv[1] + "/blobs/sha256/*"):
		    try:
		        with tarfile.open(blob, "r:gz") as tar:
		            for t in tar:
		                if t.name.startswith("opt/wheels/") and t.isreg():
		                    with open(os.path.join(sys.argv[2], os.path.basename(t.name)), "wb") as f:
		                        f.write(tar.extractfile(t).read())
		    except tarfile.ReadError:
		        pass
	END
}
