#!/usr/bin/env bats
# ARG, expansion, stages (rules 4, 6, 7), and what is refused by name and line.

load common

setup_file() {
	common_setup_file
}

# value EXPRESSION WANT: what ENV makes of it, where SET=value, EMPTY= and UNSET is not.
value() {
	printf 'FROM scratch\nARG SET=value EMPTY= PATHS=a/b/c\nENV R=%s\n' "$1" >Dockerfile
	build
	same "R=$1" "$(config '.config.Env[-1]')" "$(jq -cn --arg v "R=$2" '$v')"
}

@test "4.3 4.4 4.5 4.6 expansion" {
	while IFS='|' read -r expression want; do
		value "$expression" "$want"
	done <<-'END'
		$SET|value
		${SET}|value
		x${SET}y|xvaluey
		$SETX|
		'$SET'|$SET
		"$SET"|value
		\$SET|$SET
		"\$SET"|$SET
		a\ b|a b
		${SET:-w}|value
		${EMPTY:-w}|w
		${EMPTY-w}|
		${UNSET-w}|w
		${UNSET:-${SET}}|value
		${SET:+w}|w
		${EMPTY:+w}|
		${EMPTY+w}|w
		${UNSET+w}|
		${SET:?no}|value
		${EMPTY?no}|
		${PATHS#*/}|b/c
		${PATHS##*/}|c
		${PATHS%/*}|a/b
		${PATHS%%/*}|a
		${PATHS/\//-}|a-b/c
		${PATHS//\//-}|a-b-c
		"${UNSET:-a b}"|a b
		$$|
		a$|a$
		"it's"|it's
	END
}

@test "4.5 \${X:?text} and broken expressions fail with their line" {
	printf 'FROM scratch\nENV A=1\nENV R="${UNSET:?is needed}"\n' >Dockerfile
	build_fails 2
	said "Dockerfile:3" "UNSET: is needed"
	printf 'FROM scratch\nENV R=${UNSET\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2"
	printf 'FROM scratch\nENV R=${X:=y}\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2"
	nothing_left
}

@test "6 ARG: defaults, --build-arg, global scope, precedence by order" {
	dockerfile <<-'END'
		ARG GLOBAL=g
		ARG UNUSED=u
		ARG BOTH=global
		FROM scratch
		ARG GLOBAL
		ARG BOTH=stage
		ARG A=1 B=$A
		ARG NONE
		ENV R1=$GLOBAL R2=$BOTH R3=$B R4=[$NONE] R5=[$UNUSED]
		ENV V=env
		ARG V=arg
		ENV R6=$V
		ENV V=again
		ENV R7=$V
	END
	build
	same "defaults" "$(config '.config.Env[1:]')" '["R1=g","R2=stage","R3=1","R4=[]","R5=[]","V=again","R6=arg","R7=again"]'
	build --build-arg GLOBAL=x --build-arg A='$HOME' --build-arg BOTH= --build-arg NOBODY=1
	same "given" "$(config '.config.Env[1:4]')" '["R1=x","R2=","R3=$HOME"]'
	NONE=from-environment build --build-arg NONE --build-arg UNUSED
	same "environment" "$(config '.config.Env[4]')" '"R4=[from-environment]"'
}

@test "6.8 ARGs reach the stages built on this one, not its siblings" {
	dockerfile <<-'END'
		FROM scratch AS a
		ARG X=1
		FROM a AS b
		ENV R=[$X]
		FROM scratch
		ENV R=[$X]
	END
	build --target b
	same "child" "$(config '.config.Env[-1]')" '"R=[1]"'
	build
	same "sibling" "$(config '.config.Env[-1]')" '"R=[]"'
}

@test "6.5 6.6 automatic platform arguments, and the well-known mistake of a default" {
	dockerfile <<-'END'
		FROM --platform=$BUILDPLATFORM base AS one
		FROM base AS last
		ARG TARGETPLATFORM TARGETARCH TARGETOS TARGETSTAGE
		ARG TARGETVARIANT
		ENV R="$TARGETPLATFORM $TARGETARCH $TARGETOS $TARGETSTAGE [$TARGETVARIANT]"
		ARG TARGETARCH=wrong
		ENV S=$TARGETARCH
	END
	build --platform linux/arm64
	same "args" "$(config '.config.Env[-2:]')" '["R=linux/arm64 arm64 linux last []","S=wrong"]'
}

@test "7 FROM: names with variables, any case of AS, stages on stages; only what is needed is built" {
	put f x
	dockerfile <<-'END'
		ARG WHICH=two
		FROM nowhere.invalid/not-pulled:1 AS never
		COPY not-there /
		FROM scratch as one
		COPY f /one
		FROM one aS two
		COPY f /two
		FROM ${WHICH}
		COPY --from=one /one /three
	END
	build
	tree_is <<-'END'
		file 0644 0:0 one "x"
		file 0644 0:0 three "x"
		file 0644 0:0 two "x"
	END
	unsaid never
	build --target TWO
	tree_is <<-'END'
		file 0644 0:0 one "x"
		file 0644 0:0 two "x"
	END
	build --build-arg WHICH=one
	same "files" "$(image tree | wc -l)" 2
	build_fails 2 --target tow
	said "tow" "two"
}

@test "7.3 a name used twice: FROM takes the latest before it" {
	put f x
	dockerfile <<-'END'
		FROM scratch AS s
		COPY f /first
		FROM scratch AS s
		COPY f /second
		FROM s
	END
	build
	same "files" "$(image tree)" 'file 0644 0:0 second "x"'
}

@test "7.2 a named context replaces a stage of its name, and an image" {
	dockerfile <<-'END'
		FROM scratch AS base
		ENV REPLACED=no
		FROM base
		ENV A=1
	END
	build
	same "REPLACED" "$(config '.config.Env|map(select(startswith("REPLACED")))')" '[]'
	printf 'FROM public.ecr.aws/lambda/python:3.8\nENV A=1\n' >Dockerfile
	ok hod build --build-context public.ecr.aws/lambda/python:3.8="oci-layout://$BASE:3.8" -o "oci:$T/out:x" .
	same "layers" "$(new_layers)" 0
}

@test "the name or number of a later stage in --from is an error with its line" {
	printf 'FROM scratch AS first\nCOPY --from=1 /a /b\nFROM first\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2"
	printf 'FROM scratch\nCOPY --from=2 /a /b\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2"
	printf 'FROM scratch AS me\nCOPY --from=me /a /b\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2"
}

@test "what cannot be built yet is refused by name and line before anything is done" {
	while IFS='|' read -r line words; do
		printf 'FROM base\n%b\n' "$line" >Dockerfile
		build_fails 2
		said "Dockerfile:2" "$words"
		nothing_left
	done <<-'END'
		RUN --mount=type=cache,target=/c true|RUN --mount
		RUN --mount=type=secret,id=s <<EOF\ntrue\nEOF|RUN --mount
		RUN --device=x ["true"]|RUN --device
		ADD f /f|ADD
		ADD https://nowhere.invalid/x /x|ADD
		ONBUILD RUN true|ONBUILD
		COPY --link f /f|--link
		COPY --parents f /f|--parents
		COPY --exclude=*.o f /f|--exclude
		COPY --chmod=u+x f /f|--chmod
		COPY <<EOF /f\ntext\nEOF|here
	END
}

@test "what is refused does not matter in a stage that the target does not need" {
	printf 'FROM base AS other\nADD f /f\nFROM base\nENV A=1\n' >Dockerfile
	build
}

@test "all mistakes of a file are told in one run, with line, column and a hint" {
	dockerfile <<-'END'
		FROM base
		COPPY a b
		ENV
		EXPOSE 80
		WROKDIR /x
	END
	build_fails 2
	said "Dockerfile:2" "COPPY" "COPY" "Dockerfile:3" "Dockerfile:5" "WORKDIR"
	nothing_left
}

@test "1 lines: CRLF, BOM, escape directive, continuation, comments within" {
	printf '\xef\xbb\xbf# escape=`\r\nFROM scratch\r\nENV A=1 `\r\n# comment\r\n\r\n  B=2\r\n  # indented comment\r\nENV C=\\x\r\n' >Dockerfile
	build
	same "Env" "$(config '.config.Env[1:]')" '["A=1","B=2","C=\\x"]'
}

@test "-f: relative to the working folder, from stdin, another name; dockerfile in lower case" {
	printf 'FROM scratch\nENV A=1\n' >"$T/other"
	build -f ../other
	same "A" "$(config '.config.Env[-1]')" '"A=1"'
	rm "$T/other"
	printf 'FROM scratch\nENV A=lower\n' >dockerfile
	build
	same "A" "$(config '.config.Env[-1]')" '"A=lower"'
}

@test "parse shows the tree as BuildKit's tests do, and as JSON" {
	dockerfile <<-'END'
		FROM base AS x
		ENV A=1 B="2 3"
		COPY --from=x --chown=1 a b /c/
		CMD ["x", "y\t"]
		HEALTHCHECK --retries=3 CMD a b
		ONBUILD RUN echo "hi"
		RUN <<EOF
		text
		EOF
	END
	ok hod parse Dockerfile
	diff -u - "$T/stdout" <<-'END'
		(from "base" "AS" "x")
		(env "A" "1" "=" "B" "\"2 3\"" "=")
		(copy ["--from=x" "--chown=1"] "a" "b" "/c/")
		(cmd "x" "y\t")
		(healthcheck ["--retries=3"] "CMD" "a b")
		(onbuild (run "echo \"hi\""))
		(run "<<EOF")
	END
	ok hod parse --dump=json Dockerfile
	jq -e . "$T/stdout" >/dev/null
	printf 'FROM x\nNOPE y\nENV\n' >Dockerfile
	fails 2 hod parse Dockerfile
	said Dockerfile:2 Dockerfile:3
}
