/*
 * banned.h - calls that hod does not make; included before every file
 *
 * Unbounded copies, hidden state, a shell, guessable names.
 */
#ifndef HOD_BANNED_H
#define HOD_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets system mktemp tmpnam

#endif
