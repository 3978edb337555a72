/* SPDX-License-Identifier: ISC */
/*
 * settings.c - what main.cf says; filled by main, by tests too.
 */
#include "bounce/bounce.h"

struct bounce_settings bounce_settings;
