#!/usr/bin/env bats
# What instructions put into the image's configuration and history (rules 10 to 14).

load common

setup_file() {
	common_setup_file
}

@test "7.7 config and history of the base are inherited, field by field" {
	put f x
	printf 'FROM base\nCOPY f /f\n' >Dockerfile
	build
	"$TESTDATA/checkimage.py" check "$T/out:x" --base 6
	"$TESTDATA/checkimage.py" config "$BASE:3.8" | jq -S '.config' | diff - <(image config | jq -S '.config | del(.ArgsEscaped)')
	same "base history" "$(config '.history[:9]')" "$("$TESTDATA/checkimage.py" config "$BASE:3.8" | jq -c .history)"
	same "base diff ids" "$(config '.rootfs.diff_ids[:6]')" "$("$TESTDATA/checkimage.py" config "$BASE:3.8" | jq -c .rootfs.diff_ids)"
	same "base layers" "$(image manifest | jq -c '.layers[:6]|map(.digest)')" "$("$TESTDATA/checkimage.py" manifest "$BASE:3.8" | jq -c '.layers|map(.digest)')"
	same "new history" "$(config '.history[9:]')" '[{"created":"2024-01-01T00:00:00Z","created_by":"COPY f /f # buildkit"}]'
	same "created" "$(config .created)" '"2024-01-01T00:00:00Z"'
	same "mtimes" "$(image mtimes -1)" "$BASE_TIME"
	same "family" "$(image manifest | jq -r '.mediaType, .layers[-1].mediaType, .config.mediaType')" \
		"application/vnd.docker.distribution.manifest.v2+json
application/vnd.docker.image.rootfs.diff.tar.gzip
application/vnd.docker.container.image.v1+json"
}

@test "11 ENV: both forms, quotes, replacement in place, one map for the whole instruction" {
	sed 's/_$/  /' >Dockerfile <<-'END' # _: blanks at the end of a line
		FROM scratch
		ENV PATH=/bin A=1 B="two words" C=three\ words
		ENV D the rest  of the line_
		ENV A=new E='$A' F="$A" G=${A}
		ENV H=
	END
	build
	same "Env" "$(config .config.Env)" '["PATH=/bin","A=new","B=two words","C=three words","D=the rest  of the line","E=$A","F=1","G=1","H="]'
}

@test "7.6 scratch has the default PATH and WorkingDir" {
	printf 'FROM scratch\nENV A=1\n' >Dockerfile
	build
	same "Env" "$(config .config.Env)" '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=1"]'
	same "WorkingDir" "$(config .config.WorkingDir)" '"/"'
	same "layers" "$(image manifest | jq -c .layers)" "[]"
}

@test "11 LABEL: quotes, keys, sorted; --label comes last and has no history" {
	dockerfile <<-'END'
		FROM scratch
		LABEL z=1 "a.b"="c d" c=$PATH
		LABEL z=2
	END
	build --label z=3 --label "new=a=b"
	same "Labels" "$(config .config.Labels)" \
		'{"a.b":"c d","c":"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","new":"a=b","z":"3"}'
	same "history" "$(config '.history|length')" 2
}

@test "10 WORKDIR: relative ones join, folders are made as USER, existing ones make no layer" {
	dockerfile <<-'END'
		FROM base
		WORKDIR a/b/
		WORKDIR ../c
		USER app
		WORKDIR "/new/mine"
		USER 7
		WORKDIR num
		USER 0
		WORKDIR /etc
		WORKDIR /
	END
	build
	same "WorkingDir" "$(config .config.WorkingDir)" '"/"'
	tree_is var/task new <<-'END'
		dir 0755 1000:1001 new/
		dir 0755 1000:1001 new/mine/
		dir 0755 7:7 new/mine/num/
		dir 0755 0:0 var/task/
		dir 0755 0:0 var/task/a/
		dir 0755 0:0 var/task/a/b/
		dir 0755 0:0 var/task/a/c/
	END
	same "layers" "$(new_layers)" 4
	same "history" "$(config '[.history[9:][]|[.created_by,.empty_layer]]')" \
		'[["WORKDIR /var/task/a/b",null],["WORKDIR /var/task/a/c",null],["USER app",true],["WORKDIR /new/mine",null],["USER 7",true],["WORKDIR /new/mine/num",null],["USER 0",true],["WORKDIR /etc",true],["WORKDIR /",true]]'
}

@test "10.2 WORKDIR goes through links" {
	printf 'FROM base\nWORKDIR /srv/task/deep\n' >Dockerfile
	build
	same "WorkingDir" "$(config .config.WorkingDir)" '"/srv/task/deep"'
	layer_is -1 <<-'END'
		dir 0755 0:0 var/
		dir 0755 0:0 var/task/
		dir 0755 0:0 var/task/deep/
	END
}

@test "13 CMD and ENTRYPOINT: forms, SHELL, and which clears which" {
	while IFS='|' read -r lines entrypoint cmd; do
		printf 'FROM base\n%b\n' "$lines" >Dockerfile
		build
		same "ENTRYPOINT of $lines" "$(config .config.Entrypoint)" "$entrypoint"
		same "CMD of $lines" "$(config .config.Cmd)" "$cmd"
	done <<-'END'
		CMD a b|["/lambda-entrypoint.sh"]|["/bin/sh","-c","a b"]
		CMD ["a","b"]|["/lambda-entrypoint.sh"]|["a","b"]
		CMD [ 'a' ]|["/lambda-entrypoint.sh"]|["/bin/sh","-c","[ 'a' ]"]
		CMD []|["/lambda-entrypoint.sh"]|[]
		CMD x\nENTRYPOINT ["e"]|["e"]|["/bin/sh","-c","x"]
		ENTRYPOINT ["e"]\nCMD ["c"]|["e"]|["c"]
		ENTRYPOINT e $X|["/bin/sh","-c","e $X"]|null
		ENTRYPOINT []|null|null
		SHELL ["/bin/bash","-ec"]\nCMD c|["/lambda-entrypoint.sh"]|["/bin/bash","-ec","c"]
	END
	printf 'FROM base AS one\nCMD ["inherited"]\nFROM one\nENTRYPOINT ["e"]\n' >Dockerfile
	build
	same "CMD of the stage below" "$(config .config.Cmd)" null
}

@test "13 EXPOSE, VOLUME, STOPSIGNAL, USER, SHELL, MAINTAINER" {
	dockerfile <<-'END'
		FROM scratch
		ARG PORTS="3000 4000/udp"
		EXPOSE 80 443/TCP 8000-8002/udp $PORTS
		VOLUME /b /a
		VOLUME ["/c d"]
		STOPSIGNAL SIGUSR1
		USER app:staff
		SHELL ["/bin/x", "-y"]
		MAINTAINER Some One <some@one.example>
	END
	build
	same "ExposedPorts" "$(config '.config.ExposedPorts|keys_unsorted')" \
		'["3000/tcp","4000/udp","443/tcp","80/tcp","8000/udp","8001/udp","8002/udp"]'
	same "Volumes" "$(config '.config.Volumes')" '{"/a":{},"/b":{},"/c d":{}}'
	same "StopSignal" "$(config .config.StopSignal)" '"SIGUSR1"'
	same "User" "$(config .config.User)" '"app:staff"'
	same "Shell" "$(config .config.Shell)" '["/bin/x","-y"]'
	same "author" "$(config .author)" '"Some One <some@one.example>"'
	"$TESTDATA/checkimage.py" check "$T/out:x"
}

@test "13.5 HEALTHCHECK: durations in nanoseconds, NONE" {
	dockerfile <<-'END'
		FROM scratch
		HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=2h --start-interval=250ms --retries=3 CMD curl -f http://localhost/
	END
	build
	same "Healthcheck" "$(config .config.Healthcheck)" \
		'{"Test":["CMD-SHELL","curl -f http://localhost/"],"Interval":90000000000,"Timeout":1500000000,"StartPeriod":7200000000000,"StartInterval":250000000,"Retries":3}'
	printf 'FROM scratch\nHEALTHCHECK cmd ["a", "b"]\n' >Dockerfile
	build
	same "JSON form" "$(config .config.Healthcheck)" '{"Test":["CMD","a","b"]}'
	printf 'FROM scratch\nHEALTHCHECK NONE\n' >Dockerfile
	build
	same "none" "$(config .config.Healthcheck)" '{"Test":["NONE"]}'
}

@test "14 history: one entry an instruction, in BuildKit's words, with the time of the build" {
	put f x
	dockerfile <<-'END'
		FROM base
		ARG V=1
		ARG W
		ENV A=$V B="x y"
		LABEL l="1 2"
		COPY --chown=app --chmod=0600 f f /d/
		COPY --from=base /etc/note /n
		WORKDIR /w
		USER app
		VOLUME /v /w
		EXPOSE 443 80
		STOPSIGNAL TERM
		SHELL ["/bin/sh", "-e"]
		ENTRYPOINT ["e", "f"]
		CMD c
	END
	build
	config '.history[9:][]|[.created,.created_by,.empty_layer]' | diff -u - <(cat <<-'END'
		["2024-01-01T00:00:00Z","ARG V=1",true]
		["2024-01-01T00:00:00Z","ARG W",true]
		["2024-01-01T00:00:00Z","ENV A=1 B=x y",true]
		["2024-01-01T00:00:00Z","LABEL l=1 2",true]
		["2024-01-01T00:00:00Z","COPY --chown=app --chmod=0600 f f /d/ # buildkit",null]
		["2024-01-01T00:00:00Z","COPY /etc/note /n # buildkit",null]
		["2024-01-01T00:00:00Z","WORKDIR /w",null]
		["2024-01-01T00:00:00Z","USER app",true]
		["2024-01-01T00:00:00Z","VOLUME [/v /w]",true]
		["2024-01-01T00:00:00Z","EXPOSE [443/tcp 80/tcp]",true]
		["2024-01-01T00:00:00Z","STOPSIGNAL TERM",true]
		["2024-01-01T00:00:00Z","SHELL [/bin/sh -e]",true]
		["2024-01-01T00:00:00Z","ENTRYPOINT [\"e\" \"f\"]",true]
		["2024-01-01T00:00:00Z","CMD [\"/bin/sh\" \"-e\" \"c\"]",true]
	END
	)
	"$TESTDATA/checkimage.py" check "$T/out:x" --base 6
}

@test "a base whose history is null or too short gets one entry for each layer" {
	local kind
	put f x
	printf 'FROM base\nCOPY f /f\n' >Dockerfile
	for kind in null short; do
		"$TESTDATA/mkbase" --light --history $kind "$T/base-$kind"
		ok hod build --build-context base="oci-layout://$T/base-$kind" -o "oci:$T/out:x" .
		"$TESTDATA/checkimage.py" check "$T/out:x" --base 6
		same "history" "$(config '[.history[]|.created_by]')" \
			'["base layer 1","base layer 2","base layer 3","base layer 4","base layer 5","base layer 6","COPY f /f # buildkit"]'
		same "time" "$(config '[.history[]|.created]|unique')" '["2024-01-01T00:00:00Z"]'
	done
}

@test "an OCI base gives an OCI image" {
	put f x
	printf 'FROM base\nCOPY f /f\n' >Dockerfile
	"$TESTDATA/mkbase" --light --format oci "$T/base-oci"
	ok hod build --build-context base="oci-layout://$T/base-oci" -o "oci:$T/out:x" .
	"$TESTDATA/checkimage.py" check "$T/out:x" --base 6
	same "family" "$(image manifest | jq -r '.mediaType')" application/vnd.oci.image.manifest.v1+json
}

@test "--annotation, sorted, and --platform" {
	printf 'FROM base\nENV A=1\n' >Dockerfile
	build --annotation z=1 --annotation "a.b=c=d" --platform linux/amd64
	same "annotations" "$(image manifest | jq -c .annotations)" '{"a.b":"c=d","z":"1"}'
	build --platform linux/arm64
	same "architecture" "$(config '[.os,.architecture]')" '["linux","arm64"]'
	same "layers" "$(image manifest | jq '.layers|length')" 2
}

@test "--timestamp and SOURCE_DATE_EPOCH set every time that the build adds, base or not" {
	put f x
	touch -d 2001-02-03 f
	printf 'FROM base\nCOPY f /f\nENV A=1\n' >Dockerfile
	build --timestamp 1700000000
	same "created" "$(config '[.created,.history[-1].created,.history[0].created]')" '["2023-11-14T22:13:20Z","2023-11-14T22:13:20Z","2024-01-01T00:00:00Z"]'
	same "mtime" "$(image mtimes -1)" 1700000000
	SOURCE_DATE_EPOCH=1600000000 build
	same "mtime" "$(image mtimes -1)" 1600000000
	SOURCE_DATE_EPOCH=1600000000 build --timestamp 1700000000
	same "mtime" "$(image mtimes -1)" 1700000000
	build --timestamp keep
	same "mtime" "$(image mtimes -1)" "$(date -d 2001-02-03 +%s)"
	build --timestamp now
	[ "$(image mtimes -1)" -gt 1750000000 ]
}

@test "--compression-level: other bytes, the same diff id, and each is what the second writer makes" {
	local level first
	head -c 300000 /dev/urandom | base64 >f
	printf 'FROM base\nCOPY f /f\n' >Dockerfile
	for level in 1 0 2 3 6 9; do
		build --compression-level $level
		first=${first:-$(config '.rootfs.diff_ids[-1]')}
		same "diff id" "$(config '.rootfs.diff_ids[-1]')" "$first"
		"$TESTDATA/checkimage.py" check "$T/out:x" --base 6 --level $level
	done
}
