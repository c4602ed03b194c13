#!/usr/bin/env bats
# RUN's workloads in each mode: testdata/matrix tells the outcomes, testdata/matrix.expected the right ones.

load common
load users

setup_file() {
	common_setup_file
	users_make
	users_base
	"$TESTDATA/mkbase" "$TOP/build/base"
	"$TESTDATA/mkdebian" "$TOP/build/debian"
}

teardown_file() {
	users_remove
}

@test "every workload has its outcome in every mode" {
	opened "$T"
	"$TESTDATA/matrix" --hod "$HOD" --work "$T/matrix" --light "$BASE" --python "$TOP/build/base" --debian "$TOP/build/debian" \
		root=root range="$USER_RANGE" one="$USER_ONE" >"$T/table"
	sed 's/^/# | /' "$T/table" >&3
	diff -u --label expected --label outcomes "$TESTDATA/matrix.expected" "$T/table"
}
