#!/usr/bin/env bats
# The same input gives the same digest, whoever builds it and wherever.

load common

setup_file() {
	common_setup_file
}

# A context with what tempts a builder to differ: modes, times, links, names, sizes.
make_context() {
	/usr/bin/python3 - <<-'END'
		import os, random
		random.seed(7)
		os.makedirs("src/deep/er")
		for i in range(40):
		    with open(f"src/deep/f{i}.txt", "wb") as f:
		        f.write(random.randbytes(random.randrange(4000)))
		with open("src/big", "wb") as f:
		    f.write(random.randbytes(1 << 20) + b"x" * 3000000 + random.randbytes(12345))
		os.link("src/big", "src/deep/er/hard")
		os.symlink("../big", "src/deep/link")
		os.mkdir("src/" + "\u00e9\u00df")
		open(b"src/\xff\xfe", "w").close()
		for name, mode in (("src/deep/f0.txt", 0o4755), ("src/deep/f1.txt", 0o600), ("src/deep", 0o2775)):
		    os.chmod(name, mode)
	END
	cat >Dockerfile <<-'END'
		FROM base AS other
		COPY --chown=app src/deep /o/
		FROM base
		ARG V=1
		WORKDIR /w/x
		COPY src .
		COPY --from=other --chmod=0640 /o/ /from/
		COPY src/f* src/deep/f1*.txt /globbed/
		ENV A=$V
		USER app
		WORKDIR mine
		LABEL a=b
		CMD ["x"]
	END
}

# built NAME [COMMAND...]: prints the manifest's digest of a build run by COMMAND.
built() {
	local name=$1
	shift
	"$@" "$HOD" build --build-context base="oci-layout://$BASE" -o "oci:$OUT/$name:x" --metadata-file "$OUT/$name.json" \
		. >"$T/stdout" 2>"$T/stderr" || {
		cat "$T/stderr"
		return 1
	}
	jq -r '."containerimage.digest"' "$OUT/$name.json"
}

@test "root, user, umask, CPUs, warm and cold, folder, locale, TZ, TMPDIR, HOME: one digest" {
	make_context
	OUT=$T/outs
	mkdir -p "$OUT"
	first=$(built cold)
	"$TESTDATA/checkimage.py" check "$OUT/cold:x" --base 6
	same "the digest in the layout" "$("$TESTDATA/checkimage.py" digest "$OUT/cold:x")" "$first"
	same "warm" "$(built warm)" "$first"
	same "one CPU, cold" "$(built one env HOD_ROOT="$T/r1" taskset -c 0 env)" "$first"
	if [ "$(nproc)" -gt 1 ]; then
		same "two CPUs, cold" "$(built two env HOD_ROOT="$T/r2" taskset -c 0,1 env)" "$first"
	fi
	same "locale" "$(built locale env HOD_ROOT="$T/r3" LC_ALL=C env)" "$first"
	same "locale" "$(built locale2 env HOD_ROOT="$T/r4" LC_ALL=C.UTF-8 LANG=tr_TR.UTF-8 env)" "$first"
	same "TZ" "$(built tz env HOD_ROOT="$T/r5" TZ=Pacific/Kiritimati env)" "$first"
	same "HOME and TMPDIR" "$(built home env HOD_ROOT="$T/r6" HOME=/nonexistent TMPDIR=/var/tmp env)" "$first"
	umask 077
	same "umask 077, cold" "$(built umask env HOD_ROOT="$T/r7" env)" "$first"
	umask 022
	mkdir -p "$T/another folder"
	cp -a . "$T/another folder/x"
	find "$T/another folder" -exec touch -h -d 2001-02-03 {} +
	cd "$T/another folder/x"
	same "another folder, other times" "$(built folder env HOD_ROOT="$T/r8")" "$first"
	cd "$T"
	same "from outside" "$(cd context && built outside env HOD_ROOT="$T/r9")" "$first"
}

@test "root and an ordinary user: one digest" {
	make_context
	OUT=$T/outs
	mkdir -p "$OUT"
	first=$(built first)
	if [ "$(id -u)" != 0 ]; then
		skip "not root: cannot become somebody else"
	fi
	chmod -R a+rX . "$BASE"
	# f1.txt and the setuid file keep their modes: who cannot read them cannot build
	chmod 604 src/deep/f1.txt
	first=$(built first)
	chmod 777 "$OUT"
	opened "$T" "$BASE"
	chown -R 65534:65534 src
	chmod 4755 src/deep/f0.txt
	chmod 2775 src/deep
	same "user" "$(umask 077 && built user as_user)" "$first"
}

@test "the layers of random trees are what the second writer makes of them" {
	local seed
	for seed in 11 12 13; do
		rm -rf d
		mkdir d
		/usr/bin/python3 - "$seed" <<-'END'
			import os, random, sys
			r = random.Random(int(sys.argv[1]))
			folders, files = ["d"], []
			for i in range(300):
			    parent = r.choice(folders)
			    name = parent + "/" + "".join(r.choice("abAB.-_ é0") for _ in range(r.choice([1, 3, 8, 40, 99, 101]))).strip(" .") + str(i)
			    kind = r.random()
			    if len(os.path.basename(name).encode()) > 250 or len(name.encode()) > 900:
			        continue
			    if kind < 0.2:
			        os.mkdir(name, r.choice([0o755, 0o700, 0o1777]))
			        folders.append(name)
			    elif kind < 0.3:
			        os.symlink("x" * r.choice([1, 99, 100, 101, 300]), name)
			    elif kind < 0.4 and files:
			        os.link(r.choice(files), name)
			    else:
			        with open(name, "wb") as f:
			            f.write(r.randbytes(r.choice([0, 1, 511, 512, 513, 5000, 200000])))
			        os.chmod(name, r.choice([0o644, 0o755, 0o4711, 0o600]))
			        files.append(name)
			for size in (1048575, 1048576, 1048577, 3145728):
			    with open(f"d/size{size}", "wb") as f:
			        f.write(r.randbytes(size // 2) + bytes(size - size // 2))
		END
		printf 'FROM scratch\nCOPY --chown=%d:70000 d /x\n' $((seed * 1000000)) >Dockerfile
		build
		"$TESTDATA/checkimage.py" check "$T/out:x"
	done
}

@test "an edit changes the digest, undoing it brings the old one back" {
	make_context
	OUT=$T/outs
	mkdir -p "$OUT"
	first=$(built first)
	cp -p src/deep/f3.txt "$T/old"
	echo more >>src/deep/f3.txt
	[ "$(built edited)" != "$first" ]
	cp -p "$T/old" src/deep/f3.txt
	same "undone" "$(built undone)" "$first"
	chmod 611 src/deep/f3.txt
	[ "$(built mode)" != "$first" ]
}

@test "an edit that keeps size and mtime is seen" {
	put f aaaa
	touch -d 2020-01-01 f
	printf 'FROM scratch\nCOPY f /f\n' >Dockerfile
	sleep 2.5 # digests of files that have just changed are not remembered
	build
	build --no-cache
	put f bbbb
	touch -d 2020-01-01 f
	build
	layer_is -1 <<-'END'
		file 0644 0:0 f "bbbb"
	END
}

@test "bytecode that is valid in the context is valid in the image, stale bytecode stays stale" {
	put m.py 'print("m")
'
	put n.py 'print("n")
'
	touch -d 2020-02-02 m.py n.py
	/usr/bin/python3 -m py_compile m.py n.py
	printf 'print("another n")\n' >n.py
	ls -l __pycache__
	printf 'FROM base\nCOPY m.py n.py ./\nCOPY m.py n.py pkg/\nCOPY __pycache__ pkg/__pycache__\nCOPY . all/\n' >Dockerfile
	build
	"$TESTDATA/checkimage.py" check "$T/out:x" --base 6
	/usr/bin/python3 - "$(image blob -1)" "$BASE_TIME" <<-'END'
		import glob, re, struct, sys, tarfile
		wanted = int(sys.argv[2])
		seen = 0
		with tarfile.open(sys.argv[1]) as tar:
		    for t in tar:
		        if t.name.endswith(".pyc"):
		            data = tar.extractfile(t).read()
		            before = open(glob.glob(re.sub(".*__pycache__/", "__pycache__/", t.name))[0], "rb").read()
		            field, size = struct.unpack("<II", data[8:16])
		            valid = "/m." in t.name
		            assert (field == wanted) == valid, (t.name, field)
		            assert data[:8] + data[12:] == before[:8] + before[12:], t.name
		            assert valid or data == before, t.name
		            seen += 1
		assert seen == 2, seen
	END
	# --timestamp keep leaves them alone
	build --timestamp keep
	/usr/bin/python3 - "$(image blob -1)" <<-'END'
		import re, sys, tarfile
		with tarfile.open(sys.argv[1]) as tar:
		    for t in tar:
		        if t.name.endswith(".pyc"):
		            assert tar.extractfile(t).read() == open(re.sub(".*__pycache__/", "__pycache__/", t.name), "rb").read(), t.name
	END
}
