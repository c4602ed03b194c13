#!/usr/bin/env bats
# RUN as the Dockerfile's language has it (rules 5, 9, 12, 14.2, 16 of hod-dockerfile(5)): what runs, what is
# shown, what is found again.

load common

setup_file() {
	common_setup_file
}

# What the commands of the last build wrote, without step and time.
written() {
	sed -nE 's/^#[0-9]+ [0-9]+\.[0-9]{3} //p' "$T/stderr"
}

# wrote: exactly the lines on stdin.
wrote() {
	diff -u --label expected --label written - <(written)
}

# cached N: so many steps of the last build came from the cache.
cached() {
	same "cached steps" "$(grep -cE '^#[0-9]+ CACHED$' "$T/stderr")" "$1"
}

@test "9.1 shell form, exec form, SHELL and no arguments" {
	dockerfile <<-'END'
		FROM base
		RUN   echo "a  b" \
		    # a comment
		    'c $HOME'  $LAMBDA_TASK_ROOT
		RUN ["echo", "a  b", "$HOME"]
		RUN ["sh", "-c", "echo $0 $1", "zero", "one"]
		SHELL ["/bin/sh", "-ec"]
		RUN false || true; echo still; test -n "$-" && echo "$-" | grep -o e
		RUN
	END
	build
	wrote <<-'END'
		a  b c $HOME /var/task
		a  b $HOME
		zero one
		still
		e
	END
}

@test "5.5, 5.6 heredocs: scripts, files of a shell line, quotes, tabs, an interpreter of their own" {
	{
		printf 'FROM base\nRUN <<EOF\necho one\necho "$0"\nEOF\n'
		printf "RUN <<'EOF'\necho \"\$LAMBDA_TASK_ROOT\"\nEOF\n"
		printf 'RUN <<-EOF\n\tif true; then\n\t\techo tabs\n\tfi\n\tEOF\n'
		printf 'RUN cat <<A - <<B\nfirst $LAMBDA_TASK_ROOT\nA\nsecond\nB\n'
		printf "RUN cat <<'A' && echo after\nraw \$LAMBDA_TASK_ROOT\nA\n"
		printf 'RUN <<EOF sh\necho piped\nEOF\n'
	} >Dockerfile
	build
	wrote <<-'END'
		one
		/bin/sh
		/var/task
		tabs
		second
		raw $LAMBDA_TASK_ROOT
		after
		piped
	END
}

@test "5.5 a heredoc with #! is run as a file, which is no part of the image" {
	{
		printf 'FROM base\nRUN <<EOF\n#!/usr/bin/cat\ntwo $HOME\nEOF\n'
		printf 'RUN <<-A\n\t#!/bin/sh\n\techo "$0"; stat -c %%a "$0"; echo x 2>/dev/null >>"$0" || echo fixed\n\tA\n'
		printf 'RUN test ! -e /dev/pipes\n'
	} >Dockerfile
	build
	wrote <<-'END'
		#!/usr/bin/cat
		two $HOME
		/dev/pipes/A
		755
		fixed
	END
	same "layers" "$(new_layers)" 0
	same "history" "$(config '.history[-2].created_by')" '"RUN /bin/sh -c /dev/pipes/A # buildkit"'
}

@test "9.2 the environment is the image's, the ARGs and HOME, and nothing of ours" {
	dockerfile <<-'END'
		FROM base
		ARG unset
		ARG late=1
		ENV B=2 A="3 4"
		RUN ["env"]
	END
	OURS=1 PYTHONHASHSEED=77 PIP_NO_CACHE_DIR=0 LANG=C build --build-arg HTTPS_PROXY=http://proxy.invalid
	wrote <<-'END'
		LANG=en_US.UTF-8
		TZ=:/etc/localtime
		PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin
		LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib
		LAMBDA_TASK_ROOT=/var/task
		LAMBDA_RUNTIME_DIR=/var/runtime
		B=2
		A=3 4
		late=1
		HOME=/root
		PYTHONHASHSEED=0
		PIP_DISABLE_PIP_VERSION_CHECK=1
		PIP_NO_CACHE_DIR=1
		HTTPS_PROXY=http://proxy.invalid
		https_proxy=http://proxy.invalid
	END
	same "Env" "$(config '.config.Env[-2:]')" '["B=2","A=3 4"]'
	image config | { run ! grep -q proxy.invalid; }
}

@test "9.2 what the Dockerfile sets stands, and --timestamp now and keep add nothing" {
	printf 'FROM base\nENV PYTHONHASHSEED=5\nRUN echo $PYTHONHASHSEED $PIP_NO_CACHE_DIR\n' >Dockerfile
	build
	wrote <<<"5 1"
	printf 'FROM base\nRUN echo "<$PYTHONHASHSEED$PIP_NO_CACHE_DIR$PIP_DISABLE_PIP_VERSION_CHECK>"\n' >Dockerfile
	build --timestamp now
	wrote <<<"<>"
	build --timestamp keep
	wrote <<<"<>"
}

@test "9.2, 9.3, 12.2 user, groups, HOME and folder; standard input is empty" {
	dockerfile <<-'END'
		FROM base
		RUN pwd; id -u; id -g; umask
		USER app
		WORKDIR /new/folder
		RUN pwd; id -u; id -g; id -G; echo $HOME; touch mine; stat -c %u:%g . mine
		USER 1234
		RUN id -u; id -g; id -G; echo $HOME
		USER app:staff
		RUN id -g; id -G; echo $HOME
		USER 12:34
		RUN id -u; id -g; echo $HOME
		USER root
		ENV HOME=/elsewhere
		RUN echo $HOME; wc -c
	END
	build <<<"not for them"
	wrote <<-'END'
		/var/task
		0
		0
		0022
		/new/folder
		1000
		1001
		1001 50 2097152
		/home/app
		1000:1001
		1000:1001
		1234
		0
		0
		/
		50
		50
		/home/app
		12
		34
		/
		/elsewhere
		0
	END
}

@test "12.2 an unknown user fails the RUN with its line, not USER" {
	printf 'FROM base\nUSER nobody-here\nRUN true\n' >Dockerfile
	build_fails 2
	said "Dockerfile:3" "the user nobody-here is not in the image's /etc/passwd"
	nothing_left
	printf 'FROM base\nUSER nobody-here\nENV A=1\n' >Dockerfile
	build
}

@test "14.1, 14.2 history: arguments, the ARGs before them; an empty RUN has no layer" {
	dockerfile <<-'END'
		FROM base
		RUN echo x >/x
		ARG b=1
		ARG a
		RUN ["touch", "/y"]
		RUN true
	END
	build --build-arg b="2 3"
	config '.history[-5:][] | [.created_by, .empty_layer // false]' >"$T/history"
	diff -u - "$T/history" <<-'END'
		["RUN /bin/sh -c echo x >/x # buildkit",false]
		["ARG b=2 3",true]
		["ARG a",true]
		["RUN |2 b=2 3 a= touch /y # buildkit",false]
		["RUN |2 b=2 3 a= /bin/sh -c true # buildkit",true]
	END
	same "layers" "$(new_layers)" 2
	layer_is -2 <<-'END'
		file 0644 0:0 x "x\n"
	END
	image check --base 6
}

@test "16 a RUN is found again, without a mode being tried; the image is the same" {
	printf 'FROM base\nRUN echo x >/x\nRUN true\nCOPY Dockerfile /\nRUN rm /x\n' >Dockerfile
	build
	said "isolation: "
	local first
	first=$(digest)
	build
	cached 4
	unsaid "isolation: "
	wrote </dev/null
	same "digest" "$(digest)" "$first"
	rm -rf "$HOD_ROOT/steps"
	build
	cached 0
	same "digest" "$(digest)" "$first"
}

@test "16.2, 16.3 what a RUN depends on, and how a miss is explained" {
	# each line: what the build says; the Dockerfile before; the one after.  No text: it is found.
	local say before after n=0
	while IFS='|' read -r say before after; do
		n=$((n + 1))
		mkdir -p "$T/c$n"
		cd "$T/c$n" || return
		export HOD_ROOT=$T/root$n
		printf 'FROM base\n%b\n' "$before" >Dockerfile
		build
		printf 'FROM base\n%b\n' "$after" >Dockerfile
		build
		if [ -n "$say" ]; then
			said "not cached: $say"
		else
			cached 1
		fi
	done <<-'END'
		|RUN true|# comment\nrun   true
		|RUN true|LABEL a=b\nCMD x\nEXPOSE 1\nRUN true
		|RUN true|ARG later\nRUN true
		|RUN true|RUN true\nARG v=1
		|RUN true|RUN --network=default --security=sandbox true
		|USER app\nRUN true|USER 1000\nRUN true
		the instruction changed: it was RUN /bin/sh -c true|RUN true|RUN true;
		the variable v changed|ARG v=1\nRUN true|ARG v=2\nRUN true
		the variable v is new|RUN true|ENV v=1\nRUN true
		the variable v is gone|ENV v=1\nRUN true|RUN true
		the user changed|RUN true|USER 0:5\nRUN true
		the folder (WORKDIR) changed|RUN true|WORKDIR /\nRUN true
		the instruction changed: it was RUN /bin/sh -c true|RUN true|RUN --network=none true
		a step before it changed|COPY Dockerfile /\nRUN true|COPY Dockerfile /\nRUN true\n# other
	END
}

@test "16.3 --build-arg: from the first RUN behind its ARG; proxies and unused ones do not count" {
	printf 'FROM base\nRUN true\nARG v=1\nRUN echo $v >/v\n' >Dockerfile
	build
	build --build-arg v=2
	cached 1
	said "the variable v changed"
	build --build-arg v=1 --build-arg other=x --build-arg http_proxy=http://nowhere.invalid
	cached 2
}

@test "16.4 --no-cache runs everything again, and records it" {
	printf 'FROM base\nRUN echo ran >/x; echo ran\n' >Dockerfile
	build
	build --no-cache
	cached 0
	said "not cached: --no-cache"
	wrote <<<"ran"
	build
	cached 1
}

@test "the stages of one file share what RUN left, and COPY --from takes it" {
	dockerfile <<-'END'
		FROM base AS one
		RUN mkdir /made && echo one >/made/one
		FROM one AS two
		RUN cat /made/one && mv /made/one /made/two && echo more >>/made/two
		FROM base
		COPY --from=two /made /taken
		RUN cat /taken/two; test ! -e /taken/one
	END
	build
	wrote <<-'END'
		one
		one
		more
	END
	tree_is taken <<-'END'
		dir 0755 0:0 taken/
		file 0644 0:0 taken/two "one\nmore\n"
	END
}

@test "9.4 a failing RUN: status 1, its line and its own status, its last lines once more" {
	dockerfile <<-'END'
		FROM base
		RUN echo fine
		RUN for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23; do echo "line $i"; done; exit 3
	END
	build_fails 1
	said "hod: Dockerfile:3: RUN for i in" 'did not complete successfully: exit code: 3' "  3 | RUN for i in" " > [3/3] RUN for i"
	same "repeated" "$(sed -n '/^------$/,/^------$/p' "$T/stderr" | grep -cE '^[0-9.]+ line [0-9]+$')" 20
	# the step before stays in the cache
	fails 1 hod build -q --build-context base="oci-layout://$BASE" .
	said " > [3/3] RUN for i" "line 23"
	unsaid "fine"
	unsaid " line 3"
	[ ! -s "$T/stdout" ]
	local status=0
	hod build --progress json --build-context base="oci-layout://$BASE" . 2>"$T/stderr" || status=$?
	same "status" "$status" 1
	same "lines that are no JSON" "$(grep -vc '^{' "$T/stderr")" 0
	same "output" "$(jq -r 'select(.output) | .output' "$T/stderr" | tail -1)" "line 23"
	same "kind" "$(jq -r 'select(.kind) | [.kind, .line] | @csv' "$T/stderr")" '"failed",3'
}

@test "9.4 what is not there, what is no program, what is killed" {
	local run words hint
	while IFS='|' read -r run words hint; do
		printf 'FROM base\n%b\n' "$run" >Dockerfile
		build_fails 1
		said "Dockerfile:2" "$words" "$hint"
	done <<-'END'
		RUN no-such-command|exit code: 127|not found in the image
		RUN ["no-such-command"]|exit code: 127|not found in the image
		RUN ["/etc/passwd"]|exit code: 126|could not be executed
		RUN ["/bin/sh", "-c", "kill -9 $$"]|complete successfully:|(
	END
}

@test "output is made harmless: control bytes, carriage returns, long lines" {
	dockerfile <<-'END'
		FROM base
		RUN printf '\033[31mred\033[0m \033]0;title\007\n10%%\r50%%\r100%%\nno end'
		RUN i=0; while [ $i -lt 300 ]; do printf 0123456789; i=$((i+1)); done
	END
	build
	unsaid "$(printf '\033')"
	written | grep -qx '100%'
	written | grep -qx 'no end'
	written | grep -q '^red '
	same "bytes of the long line" "$(written | grep -x '[0-9]*' | tr -d '\n' | wc -c)" 3000
}

@test "9.6 --network and --security, for one RUN and for all" {
	local interfaces='RUN grep -c : /proc/net/dev || true'
	printf 'FROM base\nRUN --network=none grep -o "^ *[a-z0-9]*:" /proc/net/dev\n' >Dockerfile
	build
	same "interfaces" "$(written | tr -d ' ')" "lo:"
	printf 'FROM base\n%s\n' "$interfaces" >Dockerfile
	build --network none
	wrote <<<1
	build --network default
	same "interfaces" "$(written)" "$(grep -c : /proc/net/dev)"
	printf 'FROM base\nRUN --network=host true\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "--network=host" "--allow network.host"
	build --allow network.host
	build --network host
	printf 'FROM base\nRUN --network=wifi true\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "default, none or host"
	printf 'FROM base\nRUN --security=insecure true\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "--security=insecure"
}

@test "options that are wrong are named" {
	local words option
	printf 'FROM base\nRUN true\n' >Dockerfile
	while IFS='|' read -r option words; do
		# shellcheck disable=SC2086
		build_fails 2 $option
		said "$words"
	done <<-'END'
		--isolation chroot|it is auto, root, userns or none
		--network bridge|it is default, none or host
		--allow security.insecure|--allow security.insecure
		--ulimit nproc=0|--ulimit nproc=0
		--ulimit nproc=|--ulimit nproc=
		--ulimit nproc=x|--ulimit nproc=x
		--ulimit nproc=1:|--ulimit nproc=1:
		--ulimit nproc=99999999999999999999|no bound on processes
		--ulimit nofile=5|not supported yet
	END
	HOD_ISOLATION=vm build_fails 2
	said "HOD_ISOLATION"
	for option in nproc=100 nproc=100:200 nproc=-1; do
		build --no-cache --ulimit "$option"
	done
}

@test "--isolation none builds no RUN, and all else" {
	printf 'FROM base\nCOPY Dockerfile /\nRUN true\n' >Dockerfile
	build_fails 7 --isolation none
	said "Dockerfile:3" "RUN" "--isolation auto"
	nothing_left
	HOD_ISOLATION=none build_fails 7
	HOD_ISOLATION=none build --isolation auto
	printf 'FROM base\nCOPY Dockerfile /\n' >Dockerfile
	build --isolation none
}

@test "a RUN for another processor is refused, with its line" {
	printf 'FROM base\nRUN true\n' >Dockerfile
	build_fails 7 --platform linux/arm64
	said "Dockerfile:2" "linux/arm64"
	nothing_left
}

@test "--ulimit nproc bounds what a RUN starts, and the hint says so" {
	printf 'FROM base\nRUN i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo all\n' >Dockerfile
	build_fails 1 --ulimit nproc=30
	said "more than 30 processes at once" "--ulimit nproc=N"
	! written | grep -qx all || return
	build --ulimit nproc=100
	written | grep -qx all
}

@test "/etc/resolv.conf and /etc/hosts are there after a step that removed what was in their place" {
	mkdir odd
	touch odd/file
	dockerfile <<-'END'
		FROM base
		COPY odd /etc/resolv.conf/
		RUN rm -r /etc/resolv.conf
		RUN test -f /etc/resolv.conf && grep -c '127.0.1.1.*hod' /etc/hosts && touch /etc/new && stat -c '%a %u' /etc
	END
	build
	wrote <<-'END'
		1
		755 0
	END
}

# ptrace(2): the stops of a tracee are told to who waits for its end.
@test "a command that lets its parent trace it runs to its end" {
	command -v cc >/dev/null || skip "needs cc"
	cat >traced.c <<-'END'
		#include <signal.h>
		#include <stdio.h>
		#include <sys/ptrace.h>
		int main(void)
		{
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			raise(SIGCONT);
			puts("on");
			return 3;
		}
	END
	cc -static -o traced traced.c || skip "needs a static libc"
	printf 'FROM base\nCOPY traced /\nRUN ["/traced"]\n' >Dockerfile
	build_fails 1
	written | grep -qx on
	said "exit code: 3"
}
