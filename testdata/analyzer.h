/*
 * analyzer.h - what clang-tidy cannot see across files: these functions return -1
 *
 * Force-included by testdata/lint only.
 */
#ifndef HOD_ANALYZER_H
#define HOD_ANALYZER_H

#define error_set(...) (error_set(__VA_ARGS__), -1)
#define error_errno(...) (error_errno(__VA_ARGS__), -1)
#define error_wrap(...) (error_wrap(__VA_ARGS__), -1)
#define error_hint(...) (error_hint(__VA_ARGS__), -1)
#define error_at(...) (error_at(__VA_ARGS__), -1)

#endif
