#!/usr/bin/env bats
# What a RUN must not reach, and what its files must not lead hod to: by the mistakes that other builders made
# (CVE numbers where there is one).  hod's own environment has HOD_TEST_SECRET, the host a file $HOST_FILE
# and a folder $HOST_DIR that everybody may read and write.

load common
load users

setup_file() {
	common_setup_file
	users_make
	users_base
	"$TESTDATA/mkbase" "$TOP/build/base"
}

teardown_file() {
	users_remove
}

# host: the files of the host, and the secret.
host() {
	export HOD_TEST_SECRET=hunter2
	HOST_FILE=$T/host-file HOST_DIR=$T/host-dir
	mkdir -p "$HOST_DIR"
	echo untouched >"$HOST_FILE"
	chmod 0777 "$HOST_FILE" "$HOST_DIR"
	opened "$T"
}

# host_untouched: nothing came, nothing changed.
host_untouched() {
	same "files in the host's folder" "$(ls -A "$HOST_DIR")" ""
	same "the host's file" "$(cat "$HOST_FILE")" untouched
	same "the secret" "$(grep -c hunter2 "$T/stdout" "$T/stderr" | grep -v ':0$')" ""
}

# run_in MODE OPTIONS...: the context built in that mode; the image is $T/out.
run_in() {
	local mode=$1 out=$T/out
	shift
	case $mode in
	range) out=$T/$USER_RANGE/out ;;
	one) out=$T/$USER_ONE/out ;;
	esac
	rm -rf "$out" "$T/out"
	ok in_mode "$mode" "$HOD" build --progress plain --no-cache --build-context base="oci-layout://$BASE" -o "oci:$out:x" "$@" .
	[ "$mode" = root ] || ln -s "$out" "$T/out"
}

# run_fails STATUS OPTIONS...: as root; at once.
run_fails() {
	local want=$1
	shift
	fails "$want" timeout 20 "$HOD" build --progress plain --build-context base="oci-layout://$BASE" "$@" .
}

# hostile NAME: a base, in $T/NAME, of one layer: busybox and the entries that the Python expression on
# stdin lists, with mkbase's entry, folder, symlink.
hostile() {
	/usr/bin/python3 -c '
import importlib.machinery, importlib.util, json, sys
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("mkbase", sys.argv[1])
mkbase = importlib.util.module_from_spec(importlib.util.spec_from_loader("mkbase", loader))
loader.exec_module(mkbase)
made = eval(sys.stdin.read(), {**vars(mkbase), **vars(mkbase.tarfile)})
busybox = open("/bin/busybox", "rb").read()
names = {t.name for t, _ in made}
entries = [mkbase.entry("bin/busybox", data=busybox, mode=0o755), mkbase.symlink("bin/sh", "busybox")]
entries += [mkbase.entry("etc/group", data="root:x:0:\n")] if "etc" not in names and "etc/group" not in names else []
entries += made
layout = mkbase.Layout(sys.argv[2], "oci")
layer, diff_id = layout.layer(entries, 1)
config = {"created": mkbase.CREATED, "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
          "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "history": [{"created": mkbase.CREATED}]}
manifest = {"schemaVersion": 2, "mediaType": layout.types[1], "config": layout.blob(json.dumps(config).encode(), 2), "layers": [layer]}
layout.finish([{**layout.blob(json.dumps(manifest).encode(), 1), "platform": {"architecture": "amd64", "os": "linux"}}], "x")
' "$TESTDATA/mkbase" "$T/$1"
}

# The number of layers above a hostile base.
above() {
	new_layers 1
}

@test "every usual way out is refused; the table of outcomes has it for all modes" {
	host
	cp "$TESTDATA/tricks.py" .
	printf 'FROM full\nCOPY tricks.py /\nRUN python3 -B /tricks.py --report /report %s HOD_TEST_SECRET || :\n' "$HOST_FILE" >Dockerfile
	run_in root --build-context full="oci-layout://$TOP/build/base"
	same "what was open" "$(grep OPEN "$T/stderr")" ""
	said "own descriptors: refused: only 0, 1, 2"
	layer_is -1 <<-'END'
		file 0644 0:0 report "nothing\n"
	END
	host_untouched
}

# CVE-2022-27651, CVE-2022-24769: inheritable capabilities; docker's fourteen are a80425fb
@test "capabilities, filter, umask: docker's, in each mode" {
	local mode
	dockerfile <<-'END'
		FROM base
		RUN grep -E '^(Cap|NoNewPrivs|Seccomp:|Umask)' /proc/self/status | sed 's/\t/ /' >/status
		USER app
		RUN grep -E '^(Cap|Umask)' /proc/self/status | sed 's/\t/ /' >/tmp/status
	END
	for mode in $(modes); do
		if [ "$mode" = one ]; then sed -i '/^USER/,$d' Dockerfile; fi
		run_in "$mode"
		image tree status tmp/status >"$T/have"
		"$TESTDATA/checkimage.py" blob "$T/out:x" 6 >"$T/blob"
		diff -u --label "expected in $mode" --label status - <(tar -xOzf "$(cat "$T/blob")" status) <<-'END'
			Umask: 0022
			CapInh: 0000000000000000
			CapPrm: 00000000a80425fb
			CapEff: 00000000a80425fb
			CapBnd: 00000000a80425fb
			CapAmb: 0000000000000000
			NoNewPrivs: 0
			Seccomp: 2
		END
		[ "$mode" != one ] || continue
		diff -u --label "expected of USER in $mode" --label status - <(tar -xOzf "$(image blob -1)" tmp/status) <<-'END'
			Umask: 0022
			CapInh: 0000000000000000
			CapPrm: 0000000000000000
			CapEff: 0000000000000000
			CapBnd: 00000000a80425fb
			CapAmb: 0000000000000000
		END
	done
}

# CVE-2022-2990, CVE-2022-36109, CVE-2023-25173
@test "USER has the groups of the image's files, and no others" {
	local mode user
	dockerfile <<-'END'
		FROM base
		USER app
		RUN id >/tmp/name
		USER 1000
		RUN id >/tmp/number
		USER app:0
		RUN id >/tmp/group
		USER 4242
		RUN id >/tmp/unknown
		USER 0
		RUN id >/tmp/root
	END
	for mode in root range; do
		run_in "$mode"
		rm -rf "$T/files"
		mkdir "$T/files"
		for user in 6 7 8 9 10; do tar -xzf "$(image blob $user)" --no-same-owner -C "$T/files"; done
		(cd "$T/files/tmp" && grep -H . name number group unknown root | sed 's/([a-z]*)//g') >"$T/have"
		# the kernel keeps groups in the order of their numbers
		diff -u --label "expected in $mode" --label ids - "$T/have" <<-'END'
			name:uid=1000 gid=1001 groups=50,1001
			number:uid=1000 gid=1001 groups=50,1001
			group:uid=1000 gid=0 groups=0
			unknown:uid=4242 gid=0 groups=0
			root:uid=0 gid=0 groups=0
		END
	done
}

# CVE-2021-3602: the environment; CVE-2024-21626: descriptors
@test "nothing of hod's environment and of its descriptors is there" {
	local mode
	host
	# /proc/1 and all others; of the shell's own list the folder that is listed is one
	dockerfile <<-'END'
		FROM base
		RUN cat /proc/[0-9]*/environ 2>/dev/null | busybox tr '\0' '\n' | sed 's/=.*//' | sort -u >/env; \
		    for p in /proc/[02-9]* /proc/1[0-9]*; do busybox ls $p/fd 2>/dev/null; done | sort -un >/fds; \
		    env | sort >/own; test ! -s /proc/self/fd/0
	END
	for mode in $(modes); do
		run_in "$mode"
		rm -rf "$T/files"
		mkdir "$T/files"
		tar -xzf "$(image blob -1)" -C "$T/files"
		same "variables of any process that are not the step's, in $mode" \
			"$(comm -23 "$T/files/env" <(sed 's/=.*//' "$T/files/own" | sort -u) | grep -vE '^(PWD|OLDPWD|SHLVL|_|PATH|LD_LIBRARY_PATH|[A-Z]*SAN_OPTIONS)?$')" ""
		# of the base's six variables, of HOME, of RUN's own three; PWD and SHLVL are the shell's
		diff -u --label "expected in $mode" --label environment - <(grep -vE '^(PWD|SHLVL|OLDPWD)=' "$T/files/own") <<-END
			HOME=/root
			$(config '.config.Env[]' | jq -r . | grep -E '^LA' | sort)
			$(config '.config.Env[]' | jq -r . | grep -E '^LD')
			$(config '.config.Env[]' | jq -r . | grep -E '^PATH')
			PIP_DISABLE_PIP_VERSION_CHECK=1
			PIP_NO_CACHE_DIR=1
			PYTHONHASHSEED=0
			$(config '.config.Env[]' | jq -r . | grep -E '^TZ')
		END
		# but process 1: it has a pipe to hod.  The shell keeps what it redirects at 10 and above; 3 is the listing's
		same "descriptors in $mode" "$(grep -vE '^([0-3]|10|11)$' "$T/files/fds")" ""
		host_untouched
	done
}

# CVE-2024-21626
@test "a WORKDIR in /proc leads nowhere" {
	local dir up=../../../../../../../../../../../../../../..
	host
	for dir in /proc/self/fd/3 /proc/self/fd/5 /proc/self/fd/7 /proc/self/fd/9 /proc/1/cwd /proc/1/root /proc/self/root; do
		printf 'FROM base\nWORKDIR %s\nRUN cat ./%s%s >/leak\n' "$dir" "$up" "$HOST_FILE" >Dockerfile
		run_fails 1 || run_fails 2
		unsaid untouched
		host_untouched
	done
}

# CVE-2019-16884, CVE-2019-19921, CVE-2023-27561
@test "an image whose /proc, /sys or /dev is a link or a file is refused" {
	local name to
	host
	for name in proc sys dev; do
		for to in /tmp / "$HOST_DIR" ../../../../../..; do
			rm -rf "$T/odd"
			hostile odd <<<"[symlink('$name', '$to'), folder('tmp')]"
			printf 'FROM odd\nRUN busybox ls /%s/\n' "$name" >Dockerfile
			run_fails 2 --build-context odd="oci-layout://$T/odd:x"
			said "/$name of the image is no folder"
			host_untouched
		done
		rm -rf "$T/odd"
		hostile odd <<<"[entry('$name', data='x')]"
		run_fails 2 --build-context odd="oci-layout://$T/odd:x"
	done
}

# CVE-2025-31133, CVE-2025-52565
@test "links in the image's /dev are not the step's devices" {
	host
	hostile odd <<-END
		[folder("dev"), symlink("dev/null", "$HOST_FILE"), symlink("dev/console", "$HOST_FILE"), symlink("dev/pts", "$HOST_DIR"),
		 symlink("dev/shm", "$HOST_DIR"), symlink("dev/ptmx", "/etc/group"), symlink("dev/zero", "/etc/group"), symlink("dev/fd", "$HOST_DIR"), folder("tmp")]
	END
	dockerfile <<-'END'
		FROM odd
		RUN busybox stat -c '%F %t,%T' /dev/null /dev/zero; busybox test ! -L /dev/shm; echo x >/dev/null; echo x >/dev/shm/x; busybox ls -l /dev/fd/
	END
	run_in root --build-context odd="oci-layout://$T/odd:x"
	said "character special file 1,3" "character special file 1,5"
	same "layers" "$(above)" 0
	same "shm of the host" "$(ls /dev/shm/x 2>/dev/null)" ""
	# what the image has there stays
	image tree dev | grep -F "dev/null -> $HOST_FILE"
	host_untouched
}

@test "an image's /etc/resolv.conf and /etc/hosts that lead elsewhere are not followed" {
	local what
	host
	for what in "symlink('etc/resolv.conf', '$HOST_FILE'), symlink('etc/hosts', '../../../../../../..$HOST_FILE')" \
		"symlink('etc/resolv.conf', '/proc/1/root$HOST_FILE'), symlink('etc/hosts', '/dev/null')" \
		"symlink('etc/resolv.conf', 'resolv.conf'), folder('etc/hosts')" \
		"entry('etc/resolv.conf', FIFOTYPE), entry('etc/hosts', CHRTYPE, devmajor=1, devminor=3)"; do
		rm -rf "$T/odd"
		hostile odd <<<"[folder('etc', 0o751, gid=7), $what]"
		# the files are read-only; what a link leads to is not there
		printf 'FROM odd\nRUN (echo x >>/etc/resolv.conf; echo x >>/etc/hosts) 2>/dev/null </dev/null & sleep 1; busybox stat -c "etc is %%a %%g" /etc; busybox grep -q 127.0.0.1 /etc/hosts && echo hosts is "there"; cat %s 2>/dev/null; :\n' \
			"$HOST_FILE" >Dockerfile
		run_in root --build-context odd="oci-layout://$T/odd:x"
		unsaid untouched
		said "etc is 751 7"
		case $what in *"symlink('etc/hosts'"*) said "hosts is there" ;; esac
		host_untouched
	done
	# the folder above as well
	rm -rf "$T/odd"
	hostile odd <<<"[symlink('etc', '$HOST_DIR')]"
	printf 'FROM odd\nRUN :\n' >Dockerfile
	HOD_ROOT=$T/root ok timeout 20 "$HOD" build --build-context odd="oci-layout://$T/odd:x" . || run_fails 2 --build-context odd="oci-layout://$T/odd:x"
	host_untouched
}

@test "changes of /etc/resolv.conf and /etc/hosts are in no layer, whatever is done to them" {
	local mode
	dockerfile <<-'END'
		FROM base
		RUN for f in /etc/resolv.conf /etc/hosts; do \
		      echo x >>$f; echo x >$f; rm -f $f; mv $f $f.old; ln -f $f /hard; chmod 0600 $f; chown 1 $f; touch $f; busybox mount -o remount,rw $f; done 2>/dev/null; \
		    rm -f /etc/*.old /hard; test -e /etc/hosts
	END
	for mode in $(modes); do
		run_in "$mode"
		same "layers in $mode" "$(new_layers)" 0
	done
}

@test "an image without /proc, /sys, /dev and /etc gets none of them by a RUN" {
	local mode
	dockerfile <<-'END'
		FROM scratch
		COPY --from=base /usr/bin/busybox /busybox
		RUN ["/busybox", "sh", "-c", "/busybox ls / >/seen; /busybox rm -rf /proc /sys /dev /etc 2>/dev/null; :"]
	END
	for mode in $(modes); do
		run_in "$mode"
		layer_is -1 <<-'END'
			file 0644 0:0 seen "busybox\ndev\netc\nproc\nseen\nsys\n"
		END
	done
}

@test "a name that is a removal in a layer is refused" {
	local what
	for what in 'touch /.wh.etc' 'mkdir -p /d/.wh.x' 'ln -s a /var/.wh..wh..opq' 'mkdir -p /n/.wh.d/x'; do
		printf 'FROM base\nRUN %s\n' "$what" >Dockerfile
		run_fails 1
		said ".wh."
	done
}

@test "what a step printed cannot steer a terminal" {
	local esc
	esc=$(printf '\033')
	dockerfile <<-'END'
		FROM base
		RUN printf 'one \033]0;title\007\033[2J\033[31mtwo\233m\b\r\n'; printf '\033Pq\n' >&2
	END
	ok "$HOD" build --progress plain --build-context base="oci-layout://$BASE" --no-cache .
	said one two
	same "escapes" "$(grep -cE "$esc|$(printf '[\007\b]')" "$T/stderr")" 0
	# on a terminal hod has sequences of its own, but not these
	command -v script >/dev/null || return 0
	script -qec "$(printf '%q ' "$HOD" build --build-context base="oci-layout://$BASE" --no-cache .)" /dev/null </dev/null >"$T/terminal" 2>&1
	grep -q two "$T/terminal"
	same "on a terminal" "$(grep -cE "$esc(\]0|\[2J|P)" "$T/terminal")" 0
}

# CVE-2024-9676: /etc/passwd as a link or a pipe
@test "an image's /etc/passwd that is a pipe, a link out, a folder or huge does not matter or is refused at once" {
	local what
	host
	echo 'app:x:1:1::/:/bin/sh' >"$HOST_FILE.passwd"
	for what in "entry('etc/passwd', FIFOTYPE)" "symlink('etc/passwd', '$HOST_FILE.passwd')" "symlink('etc/passwd', '/proc/self/environ')" \
		"symlink('etc/passwd', 'passwd')" "folder('etc/passwd')" "entry('etc/passwd', CHRTYPE, devmajor=1, devminor=5)" \
		"entry('etc/passwd', data=b'\\\\0' * 300000000)"; do
		rm -rf "$T/odd"
		hostile odd <<<"[$what]"
		printf 'FROM odd\nUSER app\nRUN id\n' >Dockerfile
		SECONDS=0
		run_fails 2 --build-context odd="oci-layout://$T/odd:x"
		[ "$SECONDS" -lt 10 ]
		host_untouched
	done
}

# CVE-2020-10696, CVE-2024-23652, CVE-2024-1753
@test "links that a step makes lead no later step out" {
	local mode link
	host
	put f x
	for link in "$HOST_DIR" "../../../../../../../../../../../../..$HOST_DIR" "/proc/1/root$HOST_DIR" "/proc/self/cwd"; do
		cat >Dockerfile <<-END
			FROM base
			RUN rm -rf /var/task; ln -s $link /var/task; ln -s $link /tmp/l
			COPY f /var/task/f
			COPY f /tmp/l/sub/
			WORKDIR /var/task/w
			RUN echo y >/var/task/g 2>/dev/null; echo y >/tmp/l/g 2>/dev/null; mkdir -p $HOST_DIR; ls /tmp/l/ >/list; rm -rf $HOST_DIR
		END
		for mode in $(modes); do
			# /proc is a folder of the image to COPY, and the kernel's to RUN, where WORKDIR cannot be made
			in_mode "$mode" "$HOD" build --progress plain --no-cache --build-context base="oci-layout://$BASE" . >"$T/stdout" 2>"$T/stderr" ||
				same "status" "$(grep -c '^hod: ' "$T/stderr")" 1
			host_untouched
		done
	done
}

@test "a mount point's folder that a step replaced by a link is not followed" {
	local mode
	host
	cat >Dockerfile <<-END
		FROM base
		RUN mv /etc /e2 2>/dev/null; rm -rf /etc 2>/dev/null; ln -sfn $HOST_DIR /etc 2>/dev/null; ln -sfn $HOST_FILE /etc/hosts 2>/dev/null; :
		RUN :
	END
	for mode in $(modes); do
		in_mode "$mode" "$HOD" build --progress plain --no-cache --build-context base="oci-layout://$BASE" . >"$T/stdout" 2>"$T/stderr" || true
		host_untouched
	done
}

@test "devices that a step makes are in the layer, but cannot be opened by a step" {
	[ "$(id -u)" = 0 ] || skip "needs root, to make devices"
	local major minor
	read -r major minor < <(awk 'NR > 2 && $4 ~ /^[a-z]/ { print $1, $2; exit }' /proc/partitions)
	[ -n "$major" ] || skip "no disk"
	cat >Dockerfile <<-END
		FROM base
		RUN busybox mknod /disk b $major $minor && busybox mknod /tmp/mem c 1 1 && ! busybox head -c 1 /disk && ! busybox head -c 1 /tmp/mem
		RUN ! busybox head -c 1 /disk && ! busybox head -c 1 /tmp/mem
	END
	run_in root
	layer_is -1 <<-END
		block 0644 0:0 disk $major,$minor
		dir 1777 0:0 tmp/
		char 0644 0:0 tmp/mem 1,1
	END
}

@test "a step cannot end its process 1, nor reach others" {
	local mode
	dockerfile <<-'END'
		FROM base
		RUN kill -KILL 1; kill -TERM 1; kill -STOP 1; busybox sh -c 'kill -KILL -1' ; echo done >/f
	END
	# kill -1 spares the caller, here the inner shell; the outer one may be its victim
	for mode in $(modes); do
		in_mode "$mode" "$HOD" build --progress plain --no-cache --build-context base="oci-layout://$BASE" . >"$T/stdout" 2>"$T/stderr" || said "SIGKILL"
	done
}

@test "without the network there is a loopback alone" {
	local mode
	dockerfile <<-'END'
		FROM base
		RUN --network=none sed -n 's/^ *\([a-z0-9]*\):.*/\1/p' /proc/net/dev >/interfaces; test $(cat /sys/class/net/lo/flags) = 0x9
	END
	for mode in $(modes); do
		run_in "$mode"
		same "interfaces in $mode" "$(tar -xOzf "$(image blob -1)" interfaces)" lo
	done
}

# CVE-2021-41103, CVE-2021-41091: set-id programs of an image, unpacked
@test "others cannot reach what was unpacked" {
	printf 'FROM base\nRUN echo 1 >/f\n' >Dockerfile
	run_in root
	opened "$T"
	same "set-id files" "$(find "$HOD_ROOT/roots" -name setuid -perm -4000 | wc -l)" 1
	run ! setpriv --reuid "$USER_ONE" --regid "$USER_ONE" --clear-groups ls "$HOD_ROOT/roots"
	same "files that another user sees" "$(setpriv --reuid "$USER_ONE" --regid "$USER_ONE" --clear-groups find "$HOD_ROOT" -perm -4000 2>/dev/null)" ""
}
