/* SPDX-License-Identifier: ISC */
/*
 * xtext.h - the coding of values in DSN parameters (RFC 3461, section 4): + and two capital hex digits for what is
 * not printable ASCII, for + and for =.
 */
#ifndef GP_XTEXT_H
#define GP_XTEXT_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

/* Appends what it stands for, which may be any bytes. False: it is no xtext; nothing is appended. */
bool xtext_decode(struct slice, struct buf *);

#endif
