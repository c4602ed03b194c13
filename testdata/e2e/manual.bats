#!/usr/bin/env bats
# Flags and the manual pages say the same.

load common

# The options that a command's help lists, one a line.
help_options() {
	"$HOD" "$@" --help | sed '/^Global options/,$d' | grep -oE '^ +(-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u
}

global_options() {
	"$HOD" --help | sed -n '/^Global options/,$p' | grep -oE '^ +(-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u
}

# page_options FILE FROM TO: the options that .It lines between two patterns describe.
page_options() {
	sed -n "/$2/,/$3/p" "$TOP/man/$1" | sed -nE 's/^\.It (.*)/\1/p' | grep -oE 'Fl -[a-z-]+|, -[a-z-]{2,}' |
		sed -E 's/^(Fl |, )-?/--/; s/^---/--/' | grep -v -x -e --help | sort -u
}

commands() {
	"$HOD" --help | sed -n '/^Commands/,/^$/p' | sed -nE 's/^  ([a-z]+) .*/\1/p' | grep -v -x -e image -e help
}

@test "every command is in hod.1" {
	local command
	[ "$(commands | wc -l)" -ge 8 ]
	for command in $(commands); do
		grep -qE "^\.Cm $command\$" "$TOP/man/hod.1" || { echo "hod.1 lacks $command"; return 1; }
	done
	while read -r command; do
		commands | grep -qx "$command" || { echo "hod.1 has $command, hod does not"; return 1; }
	done < <(sed -n '/^.Sh COMMANDS/,/^.Sh GLOBAL/p' "$TOP/man/hod.1" | sed -n 's/^\.Cm \([a-z]*\)$/\1/p' | grep -v -x -e sexp -e json -e image)
}

@test "build's options are those of hod-build.1" {
	diff -u --label "hod build --help" --label hod-build.1 <(help_options build | grep -v -x -e --help) <(page_options hod-build.1 '^.Sh OPTIONS' '^.Sh EXIT')
	[ "$(help_options build | wc -l)" -ge 15 ]
}

@test "the other commands' options are those of hod.1" {
	local command page
	for command in $(commands | grep -v -x build); do
		page=$(sed -n "/^\.Cm $command\$/,/^\.It Xo\$/p" "$TOP/man/hod.1" |
			sed -nE 's/^\.It (Fl.*)/\1/p' | grep -oE '(Fl |, )-[a-z-]{2,}' | sed -E 's/^(Fl |, )-/--/' | sort -u)
		diff -u --label "hod $command --help" --label hod.1 <(help_options "$command" | grep -v -x -e --help) <(printf '%s\n' "$page" | sed '/^$/d')
	done
}

@test "the global options are those of hod.1" {
	diff -u --label "hod --help" --label hod.1 <(global_options | grep -v -x -e --help) \
		<(page_options hod.1 '^.Sh GLOBAL OPTIONS' '^.Sh ENVIRONMENT')
}

@test "the exit statuses of hod.1 are those of error.h's table" {
	local status
	for status in 0 1 2 3 4 5 6 70 130; do
		sed -n '/^.Sh EXIT STATUS/,/^.Sh EXAMPLES/p' "$TOP/man/hod.1" | grep -qE "^\.It $status( |\$)"
	done
}
