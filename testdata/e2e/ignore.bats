#!/usr/bin/env bats
# .dockerignore (rules 15)

load common

setup_file() {
	common_setup_file
}

# taken IGNORE: the files that `COPY . /x` takes of the context.
taken() {
	printf '%b' "$1" >.dockerignore
	printf 'FROM scratch\nCOPY . /x\n' >Dockerfile
	build
	image layer -1 | cut -d' ' -f4 | sed 's|^x/||' | grep . | grep -v ockerf | grep -v ockerignore | tr '\n' ' '
}

@test "15.2 15.3 15.4 patterns, exceptions and parents" {
	put a 1
	put b.o 2
	put dir/a 3
	put dir/b.o 4
	put dir/sub/c.o 5
	put dir/sub/d 6
	put .hidden 7
	local all="a b.o dir/ dir/a dir/b.o dir/sub/ dir/sub/c.o dir/sub/d "
	same "nothing" "$(taken '')" ".hidden $all"
	while IFS='|' read -r ignore want; do
		same "$ignore" "$(taken "$ignore")" "$want "
	done <<-'END'
		*.o\n|.hidden a dir/ dir/a dir/b.o dir/sub/ dir/sub/c.o dir/sub/d
		**/*.o\n|.hidden a dir/ dir/a dir/sub/ dir/sub/d
		dir\n|.hidden a b.o
		/dir/\n|.hidden a b.o
		./dir/../dir\n|.hidden a b.o
		dir/*\n|.hidden a b.o dir/
		dir/**\n|.hidden a b.o dir/
		a\n|.hidden b.o dir/ dir/a dir/b.o dir/sub/ dir/sub/c.o dir/sub/d
		**/a\n|.hidden b.o dir/ dir/b.o dir/sub/ dir/sub/c.o dir/sub/d
		*\n!a\n|a
		*\n!dir/sub/d\n|dir/ dir/sub/ dir/sub/d
		dir\n!dir/sub\ndir/sub/d\n|.hidden a b.o dir/ dir/sub/ dir/sub/c.o
		**\n!./dir/a\n|dir/ dir/a
		# comment\n\n  a  \r\n|.hidden b.o dir/ dir/a dir/b.o dir/sub/ dir/sub/c.o dir/sub/d
		?idden\n.h*\n|a b.o dir/ dir/a dir/b.o dir/sub/ dir/sub/c.o dir/sub/d
		[ab]*\n|.hidden dir/ dir/a dir/b.o dir/sub/ dir/sub/c.o dir/sub/d
		dir/[^ab]*/d\n|.hidden a b.o dir/ dir/a dir/b.o dir/sub/ dir/sub/c.o
	END
}

@test "15.1 Dockerfile.dockerignore beside the Dockerfile goes before .dockerignore" {
	put a 1
	put b 2
	put .dockerignore 'a
'
	put sub/My.Dockerfile 'FROM scratch
COPY [ab] /x/
'
	put sub/My.Dockerfile.dockerignore 'b
'
	build -f sub/My.Dockerfile
	same "taken" "$(image layer -1 | tail -n 1)" 'file 0644 0:0 x/a "1"'
}

@test "15.1 an ignored Dockerfile still builds" {
	put a 1
	printf 'Dockerfile\n.dockerignore\n' >.dockerignore
	printf 'FROM scratch\nCOPY . /x/\n' >Dockerfile
	build
	same "taken" "$(image layer -1 | tail -n 1)" 'file 0644 0:0 x/a "1"'
	same "entries" "$(image layer -1 | wc -l)" 2
}

@test "8.3 a source that is ignored is an error that says so" {
	put secret 1
	put .dockerignore secret
	printf 'FROM scratch\nCOPY secret /\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "secret" ".dockerignore"
	nothing_left
}

@test "15.2 a lone ! and a malformed pattern are errors with their place" {
	printf 'FROM scratch\nENV A=1\nCOPY . /x\n' >Dockerfile
	printf 'a\n!\n' >.dockerignore
	build_fails 2
	said ".dockerignore"
	printf 'a\n[\n' >.dockerignore
	build_fails 2
	said ".dockerignore"
	nothing_left
}

@test "15.5 what is ignored is never opened" {
	put keep 1
	mkdir locked
	mkfifo locked/fifo
	put big 2
	chmod 000 big
	printf 'locked\nbig\n' >.dockerignore
	printf 'FROM scratch\nCOPY . /x\n' >Dockerfile
	ok timeout 20 "$HOD" build -o "oci:$T/out:x" .
	same "taken" "$(image layer -1 | grep -c 'x/keep')" 1
	same "not taken" "$(image layer -1 | grep -cE ' x/(locked|big)' || true)" 0
}
