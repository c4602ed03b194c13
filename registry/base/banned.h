/*
 * banned.h - calls that hod does not make; included before every file
 *
 * Unbounded copies, hidden state, a shell, guessable names: a use of one names
 * something that does not exist.
 */
#ifndef HOD_BANNED_H
#define HOD_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BANNED_(name) sorry_##name##_is_banned

#undef strcpy
#define strcpy(...) BANNED_(strcpy)
#undef strcat
#define strcat(...) BANNED_(strcat)
#undef sprintf
#define sprintf(...) BANNED_(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED_(vsprintf)
#undef strtok
#define strtok(...) BANNED_(strtok)
#undef gets
#define gets(...) BANNED_(gets)
#undef system
#define system(...) BANNED_(system)
#undef mktemp
#define mktemp(...) BANNED_(mktemp)
#undef tmpnam
#define tmpnam(...) BANNED_(tmpnam)

#endif
