/* SPDX-License-Identifier: ISC */
/*
 * settings.c - what main.cf says; filled by main, by tests too.
 */
#include "cleanup/cleanup.h"

struct cleanup_settings cleanup_settings;
