#!/usr/bin/env bats
# COPY: numbers are those of hod-dockerfile(5), RULES (sources 8.1-8.8, destination 8.9-8.18,
# options 8.19, 8.20); owners, modes and order are seen in the layer by a tar reader.

load common

setup_file() {
	common_setup_file
}

@test "8.9 a file into a folder that ends in a slash makes the folder and its parents" {
	put a.txt one
	dockerfile <<-'END'
		FROM base
		COPY a.txt new/dir/
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 var/
		dir 0755 0:0 var/task/
		dir 0755 0:0 var/task/new/
		dir 0755 0:0 var/task/new/dir/
		file 0644 0:0 var/task/new/dir/a.txt "one"
	END
}

@test "8.9 without a slash a missing destination is the file's new name" {
	put a.txt one
	dockerfile <<-'END'
		FROM base
		COPY a.txt new/b.txt
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 var/
		dir 0755 0:0 var/task/
		dir 0755 0:0 var/task/new/
		file 0644 0:0 var/task/new/b.txt "one"
	END
}

@test "8.9 8.13 an existing folder takes the file and keeps its mode and owner" {
	put a.txt one
	dockerfile <<-'END'
		FROM base
		COPY a.txt /opt/data
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 opt/
		dir 0775 0:50 opt/data/
		file 0644 0:0 opt/data/a.txt "one"
	END
}

@test "8.9 a destination that ends in /. is a folder" {
	put a.txt one
	dockerfile <<-'END'
		FROM base
		COPY a.txt /new/.
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 new/
		file 0644 0:0 new/a.txt "one"
	END
}

@test "8.9 an existing file is replaced without a whiteout" {
	put a.txt one
	dockerfile <<-'END'
		FROM base
		COPY a.txt /etc/note
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 etc/
		file 0644 0:0 etc/note "one"
	END
}

@test "8.4 8.10 8.14 a folder's contents are copied, and the new top folder is 0755 whatever the source's mode" {
	put d/one 1
	put d/sub/two 2
	put d/empty/x
	rm d/empty/x
	chmod 700 d
	chmod 2750 d/sub
	chmod 1777 d/empty
	dockerfile <<-'END'
		FROM base
		COPY d /x
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 x/
		dir 1777 0:0 x/empty/
		file 0644 0:0 x/one "1"
		dir 2750 0:0 x/sub/
		file 0644 0:0 x/sub/two "2"
	END
}

@test "8.14 8.15 an existing top folder keeps mode and owner, deeper ones take the source's" {
	put d/sub/data/f 1
	chmod 700 d d/sub d/sub/data
	mkdir -p e/data
	put e/data/f 2
	chmod 711 e
	chmod 700 e/data
	dockerfile <<-'END'
		FROM base
		COPY e /opt
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 opt/
		dir 0700 0:0 opt/data/
		file 0644 0:0 opt/data/f "2"
	END
}

@test "8.14 a folder copied onto /tmp leaves /tmp's mode alone" {
	put d/f 1
	chmod 700 d
	dockerfile <<-'END'
		FROM base
		COPY d /tmp/
	END
	build
	layer_is -1 <<-'END'
		dir 1777 0:0 tmp/
		file 0644 0:0 tmp/f "1"
	END
}

@test "8.11 links in the destination are resolved inside the image, the last part too" {
	put a.txt one
	while read -r dest want; do
		printf 'FROM base\nCOPY a.txt %s\n' "$dest" >Dockerfile
		build
		same "COPY to $dest" "$(image layer -1 | tail -n 1)" "file 0644 0:0 $want \"one\""
	done <<-'END'
		/srv/task/ var/task/a.txt
		/srv/task var/task/a.txt
		/srv/task/x/y var/task/x/y
		/data opt/data/a.txt
		/data/sub/ opt/data/sub/a.txt
		/srv/chain/ opt/data/a.txt
		/srv/up/etc/z etc/z
		/srv/dangling no/such
		/lib/../a a
		/bin/tool usr/bin/tool
		../../../../etc/y etc/y
	END
}

@test "8.11 a link that loops in the destination is an error with its line" {
	put a.txt one
	printf 'FROM base\nCOPY a.txt /srv/loop/x\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "symlinks"
	nothing_left
}

@test "8.12 a folder onto a link of a merged usr is refused, as BuildKit does" {
	put root/bin/tool x
	printf 'FROM base\nCOPY root/ /\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "/bin" "hint: it is a link to usr/bin"
	nothing_left
}

@test "8.12 a file onto an existing folder inside a copied tree is an error" {
	put root/opt/data file
	printf 'FROM base\nCOPY root/ /\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "opt/data"
}

@test "8.12 inside a copied tree a link is replaced by a file, not followed" {
	put root/data new
	printf 'FROM base\nCOPY root/ /\n' >Dockerfile
	build
	layer_is -1 <<-'END'
		file 0644 0:0 data "new"
	END
	tree_is data opt/data/one <<-'END'
		file 0644 0:0 data "new"
		file 0644 0:0 opt/data/one "1\n"
	END
}

@test "8.5 a link that is named is followed inside the context, links found in a folder stay links" {
	put real/f text
	ln -s real/f named
	ln -s /real/f absolute
	ln -s real folder
	mkdir d
	ln -s ../real/f d/relative
	ln -s /no/such d/dangling
	ln -s ../../../../etc/passwd d/outside
	dockerfile <<-'END'
		FROM base
		COPY named absolute /a/
		COPY folder /b
		COPY d /c
	END
	build
	tree_is a b c <<-'END'
		dir 0755 0:0 a/
		file 0644 0:0 a/absolute "text"
		file 0644 0:0 a/named "text"
		dir 0755 0:0 b/
		file 0644 0:0 b/f "text"
		dir 0755 0:0 c/
		link 0777 0:0 c/dangling -> /no/such
		link 0777 0:0 c/outside -> ../../../../etc/passwd
		link 0777 0:0 c/relative -> ../real/f
	END
}

@test "8.5 8.1 a link or .. that leads out of the context ends inside it" {
	put outside-is-here x
	put ../outside secret
	ln -s ../../../../../../../../../../outside-is-here out
	dockerfile <<-'END'
		FROM base
		COPY out /a
		COPY ../../outside-is-here /b
	END
	build
	tree_is a b <<-'END'
		file 0644 0:0 a "x"
		file 0644 0:0 b "x"
	END
	printf 'FROM base\nCOPY ../outside /a\n' >Dockerfile
	build_fails 2
	said "Dockerfile:2" "not found"
}

@test "8.2 8.4 patterns match leading dots, stay within one part, and merge folders" {
	put a.txt 1
	put b.txt 2
	put .c.txt 3
	put sub/d.txt 4
	put d1/x 5
	put d2/y 6
	put '[z]' 7
	put q1 8
	put q2 9
	dockerfile <<-'END'
		FROM base
		COPY *.txt /a/
		COPY d* /b/
		COPY su*/*.txt /c/
		COPY q[^1] /d/
		COPY \\[z] [[]z] /e/
		COPY q? /f/
	END
	build
	tree_is a b c d e f <<-'END'
		dir 0755 0:0 a/
		file 0644 0:0 a/.c.txt "3"
		file 0644 0:0 a/a.txt "1"
		file 0644 0:0 a/b.txt "2"
		dir 0755 0:0 b/
		file 0644 0:0 b/x "5"
		file 0644 0:0 b/y "6"
		dir 0755 0:0 c/
		file 0644 0:0 c/d.txt "4"
		dir 0755 0:0 d/
		file 0644 0:0 d/q2 "9"
		dir 0755 0:0 e/
		file 0644 0:0 e/[z] "7"
		dir 0755 0:0 f/
		file 0644 0:0 f/q1 "8"
		file 0644 0:0 f/q2 "9"
	END
}

@test "8.3 a pattern that matches nothing is skipped, beside other sources and alone" {
	put a.txt 1
	dockerfile <<-'END'
		FROM base
		COPY a.txt none* /a/
	END
	build
	tree_is a <<-'END'
		dir 0755 0:0 a/
		file 0644 0:0 a/a.txt "1"
	END
	printf 'FROM base\nCOPY none* /a/\n' >Dockerfile
	build
	same "what it holds" "$(image layer -1 | grep -c . || true)" 0
}

@test "8.6 several sources go from left to right, later ones overwrite" {
	put d1/f first
	put d2/f second
	put g third
	dockerfile <<-'END'
		FROM base
		COPY d1 d2 g /x/
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 x/
		file 0644 0:0 x/f "second"
		file 0644 0:0 x/g "third"
	END
}

@test "8.8 the whole context, and the folder of WORKDIR as the destination" {
	put f 1
	put sub/g 2
	dockerfile <<-'END'
		FROM base
		WORKDIR /w
		COPY . .
	END
	printf Dockerfile >.dockerignore
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 w/
		file 0644 0:0 w/.dockerignore "Dockerfile"
		file 0644 0:0 w/f "1"
		dir 0755 0:0 w/sub/
		file 0644 0:0 w/sub/g "2"
	END
}

@test "3.3 names with blanks need the JSON form" {
	put 'a b' text
	dockerfile <<-'END'
		FROM base
		COPY ["a b", "/c d/"]
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 c d/
		file 0644 0:0 c d/a b "text"
	END
}

@test "8.16 8.17 context files are 0:0 with their own modes, setuid and sticky included, USER or not" {
	put d/plain 1
	put d/secret 2
	put d/suid 3
	put d/all 4
	chmod 600 d/secret
	chmod 6755 d/suid
	chmod 777 d/all
	dockerfile <<-'END'
		FROM base
		USER app
		COPY d /x/
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 x/
		file 0777 0:0 x/all "4"
		file 0644 0:0 x/plain "1"
		file 0600 0:0 x/secret "2"
		file 6755 0:0 x/suid "3"
	END
}

@test "8.19 --chown with names and numbers, also for the folders made for it" {
	put f x
	while read -r owner want; do
		printf 'FROM base\nCOPY --chown=%s f /new/f\n' "$owner" >Dockerfile
		build
		same "--chown=$owner" "$(image layer -1)" "dir 0755 $want new/
file 0644 $want new/f \"x\""
	done <<-'END'
		1234 1234:1234
		1234:5 1234:5
		app 1000:1001
		app:staff 1000:50
		app:7 1000:7
		7:staff 7:50
		root 0:0
		1000 1000:1000
		big 2097152:4294967294
		4294967294:2097152 4294967294:2097152
	END
}

@test "8.19 an unknown name in --chown is 0 with a warning" {
	put f x
	printf 'FROM base\nCOPY --chown=nobody-here f /f\n' >Dockerfile
	build
	said "nobody-here"
	layer_is -1 <<-'END'
		file 0644 0:0 f "x"
	END
}

@test "8.19 names come from the stage's own passwd, as a COPY has changed it" {
	put passwd 'me:x:77:78::/:/bin/sh
'
	put f x
	dockerfile <<-'END'
		FROM base
		COPY passwd /etc/
		COPY --chown=me f /f
	END
	build
	layer_is -1 <<-'END'
		file 0644 77:78 f "x"
	END
}

@test "8.20 8.13 an octal --chmod is for files, folders and the parents that are made, not for links" {
	put d/f x
	put d/sub/g y
	ln -s f d/l
	dockerfile <<-'END'
		FROM base
		COPY --chmod=4750 --chown=1:2 d /new/d
	END
	build
	layer_is -1 <<-'END'
		dir 4750 1:2 new/
		dir 4750 1:2 new/d/
		file 4750 1:2 new/d/f "x"
		link 0777 1:2 new/d/l -> f
		dir 4750 1:2 new/d/sub/
		file 4750 1:2 new/d/sub/g "y"
	END
}

@test "8.18 hard links in one source stay hard links" {
	put d/a x
	ln d/a d/b
	ln d/a outside
	dockerfile <<-'END'
		FROM base
		COPY d /x
	END
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 x/
		file 0644 0:0 x/a "x"
		hard 0644 0:0 x/b => x/a
	END
}

@test "8.7 sockets of the context become empty files" {
	mkdir d
	/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("d/s")'
	chmod 644 d/s
	printf 'FROM base\nCOPY d /x\n' >Dockerfile
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 x/
		file 0644 0:0 x/s ""
	END
}

@test "8.17 the host's extended attributes do not reach the layer" {
	put f x
	/usr/bin/python3 -c 'import os; os.setxattr("f", "user.note", b"x")' || skip "no user xattrs on this file system"
	printf 'FROM base\nCOPY f /f\n' >Dockerfile
	build
	layer_is -1 <<-'END'
		file 0644 0:0 f "x"
	END
}

@test "8.16 --from keeps owners, modes, links, xattrs and devices of a stage" {
	dockerfile <<-'END'
		FROM base AS one
		FROM scratch
		COPY --from=one /opt/data /srv/setuid /etc/note /usr/bin/ping /srv/big-owner /a/
		COPY --from=one /dev /d
		COPY --from=one /var/old /o
	END
	build
	image tree a d o | sed 's/ {security.capability=.*/ {cap}/' | diff -u <(cat <<-'END'
		dir 0755 0:0 a/
		file 0644 2097152:4294967294 a/big-owner "x\n"
		file 0644 0:0 a/note "note\n" {user.a=b'a' user.note=b'\x00\xff=\n'}
		file 0644 0:0 a/one "1\n"
		file 0755 0:0 a/ping "#!/bin/sh\n" {cap}
		file 4755 0:0 a/setuid "#!/bin/sh\n"
		dir 0755 0:0 d/
		char 0666 0:0 d/null 1,3
		fifo 0600 0:0 d/pipe
		dir 0755 0:0 o/
		file 0644 0:0 o/again "new\n"
	END
	) -
}

@test "8.18 hard links of a stage stay hard links" {
	dockerfile <<-'END'
		FROM base AS one
		FROM scratch
		COPY --from=one /usr/bin /b/
	END
	build
	same "hard links" "$(image layer -1 | grep -c '^hard .* => b/busybox$')" "$(($("$TESTDATA/checkimage.py" tree "$BASE:3.8" usr/bin | grep -c 1982256 || true) - 1))" ||
		[ "$(image layer -1 | grep -c '^hard .* => b/busybox$')" -gt 20 ]
}

@test "7.4 8.1 --from by name in any case, by number, by a named context and by an image; its WORKDIR does not count" {
	put f x
	dockerfile <<-'END'
		FROM base AS Assets
		WORKDIR /elsewhere
		COPY f f
		FROM scratch AS second
		COPY --from=ASSETS elsewhere/f /by-name
		FROM scratch
		COPY --from=0 /elsewhere/../elsewhere/f /by-number
		COPY --from=1 by-name /by-number-1
		COPY --from=base etc/note /by-context
		COPY --from=0 --chown=5:6 elsewhere/ /whole/
	END
	build
	tree_is by-name by-number by-number-1 by-context whole <<-'END'
		file 0644 0:0 by-context "note\n" {user.a=b'a' user.note=b'\x00\xff=\n'}
		file 0644 0:0 by-number "x"
		file 0644 0:0 by-number-1 "x"
		dir 0755 5:6 whole/
		file 0644 5:6 whole/f "x"
	END
}

@test "15.1 8.24 .dockerignore does not apply to --from" {
	put f x
	put .dockerignore 'etc
**/note
'
	dockerfile <<-'END'
		FROM base AS one
		FROM scratch
		COPY --from=one /etc/note /note
	END
	build
	same "files" "$(image layer -1 | wc -l)" 1
}

@test "a file with the same bytes as below is written all the same" {
	put group "$("$TESTDATA/checkimage.py" layer "$BASE:3.8" 0 >/dev/null; echo x)"
	dockerfile <<-'END'
		FROM base
		COPY group /a
		COPY group /a
	END
	build
	same "layers" "$(new_layers)" 2
	same "both" "$(image layer -1)" "$(image layer 6)"
}

@test "names that are not UTF-8, long names and links, and large owners survive" {
	local long
	long=$(printf 'n%.0s' {1..200})
	mkdir d
	put "d/$(printf 'na\357ve\377')" 1
	put "d/$long" 2
	mkdir -p "d/$long-1/$long-2"
	put "d/$long-1/$long-2/$long" 3
	ln -s "/$long/$long" d/link
	printf 'FROM base\nCOPY --chown=4294967294:3000000000 d /x\n' >Dockerfile
	build
	layer_is -1 <<-END
		dir 0755 4294967294:3000000000 x/
		link 0777 4294967294:3000000000 x/link -> /$long/$long
		file 0644 4294967294:3000000000 x/na\xefve\xff "1"
		file 0644 4294967294:3000000000 x/$long "2"
		dir 0755 4294967294:3000000000 x/$long-1/
		dir 0755 4294967294:3000000000 x/$long-1/$long-2/
		file 0644 4294967294:3000000000 x/$long-1/$long-2/$long "3"
	END
	"$TESTDATA/checkimage.py" check "$T/out:x" --base 6
}

@test "siblings are in bytewise order without their slash, a folder is followed by its content" {
	put d/a.b 1
	put d/a/z 2
	put d/a-b 3
	put d/B 4
	put d/ab 5
	printf 'FROM base\nCOPY d /x\n' >Dockerfile
	build
	same "order" "$(image layer -1 | cut -d' ' -f4 | tr '\n' ' ')" "x/ x/B x/a/ x/a/z x/a-b x/a.b x/ab "
}

@test "from scratch the layers are OCI's and T is 1980" {
	put f x
	printf 'FROM scratch\nCOPY f /d/f\n' >Dockerfile
	build
	layer_is -1 <<-'END'
		dir 0755 0:0 d/
		file 0644 0:0 d/f "x"
	END
	same "family" "$(image manifest | jq -r .mediaType)" application/vnd.oci.image.manifest.v1+json
	same "times" "$(image mtimes -1)" 315532800
	"$TESTDATA/checkimage.py" check "$T/out:x"
}
