/* SPDX-License-Identifier: ISC */
/*
 * settings.c - what main.cf says; filled by main, by tests too.
 */
#include "rewrite/rewrite.h"

struct rewrite_settings rewrite_settings;
